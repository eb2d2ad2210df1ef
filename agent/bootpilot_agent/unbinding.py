"""Takes devices from their drivers before the jump, on boards whose row in traits.py asks for it. Writes to /sys/bus only."""

import re
from collections.abc import Callable
from pathlib import Path

from bootpilot_agent import sysfs
from bootpilot_agent.inventory import Board
from bootpilot_agent.traits import to_unbind


def unbind_devices(board: Board, say: Callable[[str], None], root: Path = Path("/")) -> None:
    """All devices of the drivers in the board's rows. Never raises: the jump is tried all the same."""
    for bus, driver in to_unbind(board):
        folder = root / "sys/bus" / bus / "drivers" / driver
        # A driver's folder links its devices beside `module`, `bind` and the like; a device's name has a separator or a digit.
        for name in sysfs.list_names(folder):
            if not (folder / name).is_symlink() or not re.search(r"\d", name):
                continue
            try:
                (folder / "unbind").write_text(name)
                say(f"{driver}: let go of {name} for the next kernel")
            except OSError as error:
                say(f"{driver}: {name} cannot be let go: {error}")
