"""The boot medium: finds the partition that the command line names and reads its settings. Never writes, leaves no mount.

The card may be taken out at any time after `find_card` returned.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Card:
    """The boot medium as found. `device` is the partition, `disk_path` the sysfs path of its disk, `cid` that of an SD card."""

    partuuid: str
    device: str
    disk_path: str
    cid: str
    settings_text: bytes
    problem: str = ""


def find_card(
    partuuid: str, root: Path = Path("/"), *, wait_s: float = 10.0, poll: Callable[[float], None] | None = None
) -> Card | None:
    """Wait up to `wait_s` until the partition appears, read bootpilot.txt, unmount. None if it did not appear.

    `poll(seconds)` is called while waiting (the coldplug goes on there). A card whose file system or file cannot be read is
    still the card: `settings_text` is empty and `problem` says why.
    """
    raise NotImplementedError
