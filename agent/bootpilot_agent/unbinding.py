"""Takes devices from their drivers before the jump where a row in traits.py asks for it, and gives them back after a jump that
came back. Writes to /sys/bus only.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent import sysfs
from bootpilot_agent.inventory import Board
from bootpilot_agent.traits import to_unbind


@dataclass(frozen=True)
class LetGo:
    """A device that its driver let go: the driver's folder, the device's name on its bus."""

    driver: Path
    name: str


def unbind_devices(board: Board, say: Callable[[str], None], root: Path = Path("/")) -> tuple[LetGo, ...]:
    """All devices of the drivers in the board's rows; returns those that were let go.

    Never raises: the jump is tried all the same.
    """
    let_go = []
    for bus, driver in to_unbind(board):
        folder = root / "sys/bus" / bus / "drivers" / driver
        # A driver's folder links its devices beside `module`, `bind` and the like; a device's name has a separator or a digit.
        for name in sysfs.list_names(folder):
            if not (folder / name).is_symlink() or not re.search(r"\d", name):
                continue
            try:
                (folder / "unbind").write_text(name)
            except OSError as error:
                say(f"{driver}: {name} cannot be let go: {error}")
            else:
                say(f"{driver}: let go of {name} for the next kernel")
                let_go.append(LetGo(folder, name))
    return tuple(let_go)


def bind_again(let_go: Iterable[LetGo], say: Callable[[str], None]) -> None:
    """Give the devices back to their drivers. Never raises: one that stays away is named."""
    for device in let_go:
        try:
            (device.driver / "bind").write_text(device.name)
        except OSError as error:
            say(f"{device.driver.name}: {device.name} does not come back: {error}")
