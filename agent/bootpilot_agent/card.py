"""The boot medium: finds the partition that the command line names and reads its settings. Never writes, leaves no mount.

The card may be taken out at any time after `find_card` returned.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bootpilot_agent import disks, sysfs
from bootpilot_agent.card_settings import CARD_FILE, MAX_CARD_BYTES, read_card
from bootpilot_agent.errors import CommandError
from bootpilot_agent.run import run
from bootpilot_agent.setting_values import file_name
from bootpilot_agent.taps import tap

POLL_S = 0.05
MOUNT_POINT = "run/bootpilot/card"
MOUNT_TIMEOUT_S = 20.0
CARD_LIKE = "mmcblk"  # looked at first: reading a dying hard disk can take half a minute


@dataclass(frozen=True)
class Card:
    """The boot medium as found. `device` is the partition, `disk_path` the sysfs path of its disk, `cid` that of an SD card.

    `beside` are the certificates' files next to bootpilot.txt, by name.
    """

    partuuid: str
    device: str
    disk_path: str
    cid: str
    settings_text: bytes
    problem: str = ""
    beside: Mapping[str, bytes] = field(default_factory=dict)


def find_card(
    partuuid: str, root: Path = Path("/"), *, wait_s: float = 10.0, poll: Callable[[float], object] = time.sleep
) -> Card | None:
    """Wait up to `wait_s` until the partition appears, read bootpilot.txt, unmount. None if it did not appear.

    `poll(seconds)` is called while waiting (the coldplug goes on there). A card whose file system or file cannot be read is
    still the card: `settings_text` is empty and `problem` says why.
    """
    end_s = time.monotonic() + wait_s
    while True:
        for name in sorted(disks.disk_names(root), key=lambda name: not name.startswith(CARD_LIKE)):
            if device := _partition_device(name, partuuid, root):
                return _read(name, device, partuuid, root)
        if time.monotonic() >= end_s:
            return None
        poll(POLL_S)


def _partition_device(disk: str, partuuid: str, root: Path) -> str:
    """The device name of the partition, "" if this disk does not have it (or the kernel has not made it yet)."""
    numbers = [partition.number for partition in disks.partitions_of(disk, root) if partition.partuuid == partuuid]
    folder = root / "sys/block" / disk
    for name in sysfs.list_names(folder) if numbers else ():
        if name.startswith(disk) and sysfs.read_number(folder / name / "partition") == numbers[0]:
            return name
    return ""


def _read(disk: str, device: str, partuuid: str, root: Path) -> Card:
    folder = root / "sys/block" / disk
    cid = sysfs.read_text(folder / "device/cid") if disks.is_sd_card(disk, root) else ""
    beside: dict[str, bytes] = {}
    try:
        text, problem = _read_settings(root / "dev" / device, root / MOUNT_POINT, beside), ""
    except FileNotFoundError:
        text, problem = b"", f"no {CARD_FILE} on the card ({device})"
    except (OSError, CommandError) as error:
        text, problem = b"", f"{CARD_FILE} on the card ({device}) cannot be read: {getattr(error, 'message', error)}"
    return Card(partuuid, f"/dev/{device}", sysfs.device_path(folder, root), cid, text, problem, beside)


def _read_settings(device: Path, point: Path, beside: dict[str, bytes]) -> bytes:
    """bootpilot.txt; the file that its `ca` names goes into `beside`, if there is one that can be read."""
    point.mkdir(mode=0o700, parents=True, exist_ok=True)
    # "ro" keeps even FAT's dirty flag as it is (fat_set_state() returns early on a read-only mount).
    run(["mount", "-t", "vfat", "-o", "ro,nosuid,nodev,noexec", str(device), str(point)], timeout_s=MOUNT_TIMEOUT_S)
    try:
        text = _read_file(point / CARD_FILE)
        if name := file_name(read_card(text).values.get("ca")):
            with suppress(OSError):
                beside[name] = _read_file(point / name)
        return text
    finally:
        run(["umount", str(point)], timeout_s=MOUNT_TIMEOUT_S)


def _read_file(path: Path) -> bytes:
    """One byte more than is allowed tells the reader of the settings that the file is too long."""
    with path.open("rb") as file:
        content = file.read(MAX_CARD_BYTES + 1)
    tap().read(path, content)
    return content
