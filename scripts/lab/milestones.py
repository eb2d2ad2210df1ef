"""When a boot passed what on its way, read off a serial console: who spoke before Linux, the agent, the jump. No I/O here.

For tables that people read: what a board did is judged by its own verdict and by its report at the server.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scripts.lab.machine import Start
from scripts.lab.stages import AGENT_LINE, ConsoleLine
from scripts.lab.verdict import JUMP

LINUX = re.compile(r"\bLinux version \S")
# What the firmware of each start says of itself on its way to the loader, in this order.
FIRMWARE: dict[Start, tuple[re.Pattern[str], ...]] = {
    Start.KERNEL: (),
    Start.BIOS: (re.compile(r"U-Boot 20\S+"),),
    Start.OPENSBI: (re.compile(r"OpenSBI v\S+"), re.compile(r"U-Boot 20\S+")),
    Start.UEFI: (re.compile(r'BdsDxe: starting Boot\S+ "[^"]*"'),),
    Start.BOOT_ROM: (re.compile(r"U-Boot SPL 20\S+"), re.compile(r"U-Boot 20\S+")),
    Start.FLASHED: (re.compile(r"U-Boot 20\S+"),),
    Start.CARD_KERNEL: (),
}


@dataclass(frozen=True)
class Milestones:
    """Seconds from power on; None for what was not seen. `firmware` is what spoke before the first Linux, by its own name."""

    firmware: tuple[str, ...]
    agent_s: float | None
    kexec_s: float | None


def read_milestones(start: Start, lines: Sequence[ConsoleLine]) -> Milestones:
    """From the whole console, or from as much of it as there is."""
    linux = _first(lines, LINUX.search)
    before = lines[:linux] if linux is not None else lines
    agent, jump = _first(lines, AGENT_LINE.match), _first(lines, JUMP.search)
    return Milestones(
        firmware=_spoken(FIRMWARE[start], before),
        agent_s=None if agent is None else lines[agent].at_s,
        kexec_s=None if jump is None else lines[jump].at_s,
    )


def _spoken(patterns: tuple[re.Pattern[str], ...], lines: Sequence[ConsoleLine]) -> tuple[str, ...]:
    """What each pattern found, each after the one before."""
    found, begin = [], 0
    for pattern in patterns:
        index = _first(lines[begin:], pattern.search)
        if index is None:
            break
        match = pattern.search(lines[begin + index].text)
        found.append(match[0] if match else "")
        begin += index + 1
    return tuple(found)


def _first(lines: Sequence[ConsoleLine], matches: Callable[[str], object]) -> int | None:
    return next((index for index, line in enumerate(lines) if matches(line.text)), None)
