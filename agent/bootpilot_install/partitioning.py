"""Writes a partition table and makes file systems: runs the programs of layout.py, one after the other."""

from collections.abc import Sequence
from pathlib import Path

from bootpilot_agent.errors import CommandError
from bootpilot_agent.run import run
from bootpilot_install import layout
from bootpilot_install.errors import DiskError
from bootpilot_install.mounts import Part

TABLE_S = 120.0
# A disk of some terabytes on a slow bus; most of ext4's tables are written later by the kernel.
FORMAT_S = 1800.0


def write_table(device: Path, slots: Sequence[layout.Slot]) -> None:
    """Raises DiskError."""
    tell_sfdisk(layout.sfdisk_argv(str(device)), layout.sfdisk_script(slots))


def tell_sfdisk(argv: Sequence[str], script: str) -> None:
    """Raises DiskError."""
    try:
        run(argv, timeout_s=TABLE_S, told=script.encode())
    except CommandError as error:
        raise DiskError(f"the partition table cannot be written: {error.message}") from error


def make_file_system(part: Part) -> None:
    """Raises DiskError."""
    if part.order is None:
        return
    try:
        run(layout.format_argv(part.order, str(part.device)), timeout_s=FORMAT_S)
    except CommandError as error:
        raise DiskError(f"{part.device}: no {part.order.file_system} can be made: {error.message}") from error
