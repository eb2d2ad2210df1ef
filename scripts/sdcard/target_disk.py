"""The disk that a card is to be written to: what it is, what is on it, and why it may be the wrong one. Only reads.

A regular file stands for a disk too: for a simulator, and for tests.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent.errors import CommandError
from bootpilot_agent.run import run
from scripts.sdcard.errors import CardError

# No board needs such a card, and disks with somebody's data are mostly larger.
LARGEST_BYTES = 256 * 10**9
LSBLK_TIMEOUT_S = 30.0
COLUMNS = "PATH,SIZE,RM,HOTPLUG,RO,TYPE,TRAN,VENDOR,MODEL,FSTYPE,LABEL,MOUNTPOINTS"


@dataclass(frozen=True)
class TargetDisk:
    """A disk as lsblk shows it. `contents` has one line for each thing on it, `mounted` the folders where parts of it are."""

    path: Path
    size_bytes: int
    title: str
    removable: bool
    read_only: bool = False
    is_disk: bool = True
    contents: tuple[str, ...] = ()
    mounted: tuple[str, ...] = ()

    def __str__(self) -> str:
        head = f"{self.path}: {self.title}, {self.size_bytes / 1e9:.1f} GB"
        return "\n".join([head, *(f"  {line}" for line in self.contents or ("nothing that is known",))])


def describe_disk(path: Path) -> TargetDisk:
    """Raises CardError if there is no such disk."""
    if path.is_file():
        return TargetDisk(path, path.stat().st_size, "a file that stands for a disk", removable=True)
    if not path.is_block_device():
        raise CardError(f"{path} is no disk", "lsblk shows the disks of this machine")
    try:
        argv = ["lsblk", "--json", "--bytes", "--output", COLUMNS, str(path)]
        (device,) = json.loads(run(argv, timeout_s=LSBLK_TIMEOUT_S).stdout)["blockdevices"]
    except (CommandError, ValueError) as error:
        raise CardError(f"{path} cannot be looked at: {error}") from error
    return from_lsblk(path, device)


def from_lsblk(path: Path, device: dict[str, object]) -> TargetDisk:
    """One device of lsblk's JSON, with all that lies on it."""
    below = list(_descendants(device))
    words = [str(device.get(name) or "").strip() for name in ("vendor", "model", "tran")]
    return TargetDisk(
        path=path,
        size_bytes=int(str(device["size"])),
        title=" ".join(word for word in words if word) or "a disk without a name",
        # A card reader on the board's own bus is not marked as removable.
        removable=bool(device.get("rm") or device.get("hotplug")) or path.name.startswith("mmcblk"),
        read_only=bool(device.get("ro")),
        is_disk=device.get("type") in ("disk", "loop"),
        contents=tuple(_content_line(item) for item in below if item is not device or item.get("fstype")),
        mounted=tuple(str(point) for item in below for point in _points(item) if point),
    )


def reasons_against(disk: TargetDisk, image_bytes: int) -> tuple[list[str], list[str]]:
    """Why the image cannot be written there, and why it should not (which `--force` overrides)."""
    never = [f"it is mounted at {', '.join(disk.mounted)}: unmount it first"] if disk.mounted else []
    never += ["it is write-protected: look for the card's little switch"] if disk.read_only else []
    never += ["it is a part of a disk: name the whole disk"] if not disk.is_disk else []
    if disk.size_bytes < image_bytes:
        never.append(f"it has {disk.size_bytes} bytes, the image {image_bytes}")
    doubts = ["it is not removable: is it a disk of this machine?"] if not disk.removable else []
    if disk.size_bytes > LARGEST_BYTES:
        doubts.append(f"it has {disk.size_bytes / 1e9:.0f} GB, more than any card that a board needs")
    return never, doubts


def _descendants(device: dict[str, object]) -> list[dict[str, object]]:
    children = device.get("children")
    below = [item for child in children for item in _descendants(child)] if isinstance(children, list) else []
    return [device, *below]


def _content_line(item: dict[str, object]) -> str:
    words = [str(item.get(name) or "") for name in ("path", "fstype", "label")]
    return " ".join([*(word for word in words if word), f"({int(str(item['size'])) / 1e6:.0f} MB)"])


def _points(item: dict[str, object]) -> list[object]:
    points = item.get("mountpoints")
    return points if isinstance(points, list) else []
