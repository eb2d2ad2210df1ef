"""Reads block devices from /sys/block and their partition tables from /dev. Opens devices for reading only."""

import re
from collections.abc import Callable
from pathlib import Path

from bootpilot_agent import sysfs
from bootpilot_agent.inventory import MAX_DISKS, Disk, Transport
from bootpilot_agent.partition_table import Partition, read_partitions
from bootpilot_agent.taps import tap

# What is no disk of its own, or no place for a system.
SKIPPED = {
    r"loop\d+": "a file",
    r"ram\d+": "memory",
    r"zram\d+": "memory",
    r"dm-\d+": "lies on other disks",
    r"md\d+": "lies on other disks",
    r"nbd\d+": "somebody else's disk",
    r"sr\d+": "optical",
    r"fd\d+": "floppy; reading an empty drive takes seconds",
    r"mtdblock\d+": "raw flash, often the firmware",
    r"mmcblk\d+(boot\d+|rpmb)": "hardware partition of an eMMC, often the firmware",
}

# The bus is told by the path: /sys/block/*/removable is 0 for a card in a native slot as for a SATA disk.
TRANSPORTS: tuple[tuple[str, Transport], ...] = (
    (r"/mmc_host/", Transport.MMC),
    (r"/usb\d+/", Transport.USB),  # before SCSI and SATA: USB disks are SCSI disks too
    (r"/ata\d+/", Transport.SATA),
    (r"/nvme", Transport.NVME),
    (r"/virtio\d+/", Transport.VIRTIO),
    (r"/host\d+/", Transport.SCSI),
)


def disk_names(root: Path = Path("/")) -> list[str]:
    """Names of the disks present, such as mmcblk0, without what SKIPPED lists."""
    names = sysfs.list_names(root / "sys/block")
    return [name for name in names if not any(re.fullmatch(pattern, name) for pattern in SKIPPED)][:MAX_DISKS]


def read_disk(name: str, root: Path, boot_medium: bool) -> Disk:
    """Everything the report says of one disk. Never raises."""
    folder = root / "sys/block" / name
    path = sysfs.device_path(folder, root)
    transport = transport_of(path)
    return Disk(
        name=name,
        size_bytes=_size_bytes(folder),
        transport=transport,
        model=sysfs.read_text(folder / "device" / ("name" if transport is Transport.MMC else "model"), most=128),
        serial=_serial(folder, transport),
        boot_medium=boot_medium,
        path=path[:512],
    )


def transport_of(path: str) -> Transport:
    """The bus of a disk from its path below /sys."""
    return next((transport for pattern, transport in TRANSPORTS if re.search(pattern, path)), Transport.OTHER)


def is_sd_card(name: str, root: Path) -> bool:
    """True for an SD card in a native slot; an eMMC is soldered and says MMC."""
    return sysfs.read_text(root / "sys/block" / name / "device/type") == "SD"


def partitions_of(name: str, root: Path = Path("/")) -> tuple[Partition, ...]:
    """The partition table of a disk; () if it cannot be read."""
    folder = root / "sys/block" / name
    if not _size_bytes(folder):  # a card reader without a card
        return ()
    sector_bytes = sysfs.read_number(folder / "queue/logical_block_size") or 512
    try:
        with (root / "dev" / name).open("rb") as device:

            def read_at(offset: int, size: int) -> bytes:
                device.seek(offset)
                content = device.read(size)
                tap().read_blocks(name, offset, content)
                return content

            return read_partitions(read_at, _size_bytes(folder), sector_bytes)
    except (OSError, ValueError):  # no medium, an I/O error, an offset beyond what seek takes
        return ()


def holds(name: str, partuuid: str, root: Path = Path("/")) -> bool:
    """True if the disk has a partition of this PARTUUID."""
    return any(partition.partuuid == partuuid for partition in partitions_of(name, root))


def _size_bytes(folder: Path) -> int:
    # The unit of /sys/block/*/size is 512 bytes whatever the sector size (Documentation/ABI/stable/sysfs-block).
    return max(0, sysfs.read_number(folder / "size") or 0) * 512


def _serial(folder: Path, transport: Transport) -> str:
    for read in SERIAL_SOURCES[transport]:
        if value := read(folder):
            return value[:128]
    return ""


def _file(name: str) -> Callable[[Path], str]:
    return lambda folder: sysfs.read_text(folder / name)


def _vital_product_page(folder: Path) -> str:
    # SCSI page 80h: four bytes of header, the last its length, then the serial number in ASCII (SPC-4, 7.8.15).
    raw = sysfs.read_bytes(folder / "device/vpd_pg80")
    return sysfs.clean_text(raw[4 : 4 + raw[3]]) if len(raw) > 4 else ""


def _usb_serial(folder: Path) -> str:
    try:
        ancestors = folder.resolve().parents
    except (OSError, RuntimeError):
        return ""
    device = next((path for path in ancestors if sysfs.exists(path / "idVendor")), None)
    return sysfs.read_text(device / "serial") if device else ""


SERIAL_SOURCES: dict[Transport, tuple[Callable[[Path], str], ...]] = {
    # The whole CID: the serial field alone is 32 bits that each maker counts for itself.
    Transport.MMC: (_file("device/cid"),),
    Transport.SATA: (_vital_product_page,),
    Transport.USB: (_usb_serial, _vital_product_page),
    Transport.NVME: (_file("device/serial"), _file("wwid")),
    Transport.VIRTIO: (_file("serial"),),
    Transport.SCSI: (_vital_product_page,),
    Transport.OTHER: (_file("serial"),),
}
