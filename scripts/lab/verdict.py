"""What became of a boot: Passed, Failed, or Lost to QEMU itself. No I/O here.

The second kernel gives the verdict, on a channel of its own. Prose on the console only tells a failure of ours from a known
one of QEMU's: under TCG on amd64 about 2 in 100 kernels started by kexec die of a double fault, whatever the loader.
"""

import json
import re
from dataclasses import dataclass

CONSOLE_TAIL_LINES = 30
# The kernel names a double fault on the console, early (arch/x86/kernel/head64.c) or later (arch/x86/kernel/traps.c).
DOUBLE_FAULT = re.compile(r"PANIC: double fault|PANIC: early exception 0x08|\bdouble fault: 0000 \[#")
# kernel_kexec() in kernel/kexec_core.c says this as the first kernel's last words.
JUMP = re.compile(r"kexec_core: Starting new kernel|\bStarting new kernel\b")

# run_init_process() in init/main.c, of either kernel.
USER_SPACE = r"Run /init as init process"


@dataclass(frozen=True)
class Verdict:
    """What the second kernel's user space says about itself."""

    node_id: str
    boot_id: str
    cpus: int
    kernel: str
    address: str
    mac: str
    serial: str


@dataclass(frozen=True)
class Passed:
    """The second kernel's user space gave its verdict."""

    verdict: Verdict


@dataclass(frozen=True)
class Failed:
    """Bootpilot did not get there; `why` has the end of the console."""

    why: str


@dataclass(frozen=True)
class Lost:
    """QEMU's emulation killed the second kernel: no word about Bootpilot. To be run once more, and counted."""

    why: str


Outcome = Passed | Failed | Lost


class VerdictError(ValueError):
    """The verdict channel carried something that is no verdict."""


def read_verdict(text: str) -> Verdict | None:
    """The first whole line of the channel. None while there is none. Raises VerdictError."""
    line, newline, _ = text.partition("\n")
    if not newline:
        return None
    try:
        fields = json.loads(line)
        if fields["verdict"] != "payload-up":
            raise VerdictError(f"expected the verdict payload-up, got {line[:200]!r}")
        texts = {name: str(fields[name]) for name in ("node_id", "boot_id", "kernel", "address", "mac", "serial")}
        return Verdict(cpus=int(fields["cpus"]), **texts)
    except (ValueError, KeyError, TypeError) as error:
        raise VerdictError(f"expected one JSON line with a verdict, got {line[:200]!r} ({error})") from error


def judge(channel: str, console: str, ended: str) -> Outcome:
    """`channel` is what the verdict channel carried, `ended` why nobody waits any longer (deadline, reset, QEMU's end)."""
    try:
        verdict = read_verdict(channel)
    except VerdictError as error:
        return Failed(_explain(str(error), console))
    if verdict:
        return Passed(verdict)
    if is_double_fault_after_jump(console):
        return Lost(f"{ended}, after a double fault of the second kernel (known of QEMU's TCG)")
    where = "after the jump into the second kernel" if JUMP.search(console) else "before the jump into the second kernel"
    return Failed(_explain(f"no verdict: {ended}, {where}", console))


def is_double_fault_after_jump(console: str) -> bool:
    """True for QEMU's own failure; a double fault before the jump is not among the known ones."""
    jump = JUMP.search(console)
    return jump is not None and DOUBLE_FAULT.search(console, jump.end()) is not None


def _explain(what: str, console: str) -> str:
    return f"{what}; the last lines of the console:\n{tail(console)}"


def tail(console: str, lines: int = CONSOLE_TAIL_LINES) -> str:
    """The end of a console, indented, for an error message."""
    return "\n".join("    | " + line for line in console.splitlines()[-lines:])
