"""Picks the stages of a boot out of a serial console for a person who watches. No I/O here.

For display only: no test and no verdict looks at these lines.
"""

import re
from dataclasses import dataclass

# The installer's banner; its lines look like the agent's.
INSTALLER_LINE = re.compile(r"^Bootpilot installer ")
AGENT_LINE = re.compile(r"^\[ *\d+\.\d\d\] (?P<text>.*)")
# The agent indents what belongs to the line above as far as that line's text (console.py).
CONTINUED_LINE = re.compile(r"^ {11}(?P<text>.*\S.*)")
KERNEL_LINE = re.compile(r"^\[ *\d+\.\d{6}\] (?P<text>.*)")
FIRMWARE_LINE = re.compile(r"^(?P<text>U-Boot 20\S+)")
KERNEL_VERSION = re.compile(r"^Linux version (\S+)")


@dataclass(frozen=True)
class ConsoleLine:
    """One line of the console and when it was complete, in seconds since QEMU's start."""

    at_s: float
    text: str


class ConsoleStages:
    """Fed with console lines in order; remembers which kernel is running."""

    def __init__(self) -> None:
        self._kernels = 0
        self._agent_speaks = False
        self._speaker = "agent"

    def stage(self, line: str) -> str:
        """What to show for this line; empty for the many lines that are no stage."""
        if INSTALLER_LINE.match(line):
            self._speaker = "installer"
        found = AGENT_LINE.match(line) or (CONTINUED_LINE.match(line) if self._agent_speaks else None)
        self._agent_speaks = found is not None
        if found:
            return f"{self._speaker:9} {found['text']}"
        if found := FIRMWARE_LINE.match(line):
            return f"firmware  {found['text']}"
        if found := KERNEL_LINE.match(line):
            return self._kernel_stage(found["text"])
        return ""

    def _kernel_stage(self, text: str) -> str:
        if found := KERNEL_VERSION.match(text):
            self._kernels += 1
            self._speaker = "agent"
            return f"{'loader' if self._kernels == 1 else 'payload':9} kernel {found[1]} starts"
        return "loader    kexec: jump into the payload's kernel" if "kexec_core: Starting new kernel" in text else ""
