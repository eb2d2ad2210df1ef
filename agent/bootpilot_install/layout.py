"""What a disk is cut into: the mark first, then the order's partitions. Values and command lines only. No I/O here."""

from collections.abc import Sequence
from dataclasses import dataclass

from bootpilot_agent.install_order import FileSystem, PartitionOrder
from bootpilot_agent.mark import MARK_PARTITION_TYPE
from bootpilot_install.errors import DiskError

MIB = 1 << 20
# The table's copy takes the last 33 sectors (UEFI 2.10, section 5.3); partitions end on a whole MiB before it.
TABLE_MIB = 1
MARK_MIB = 1
FIRST_MIB = TABLE_MIB + MARK_MIB
MARK_NAME = "bootpilot-mark"
# What takes the rest of the disk must be worth having.
LEAST_REST_MIB = 32

# GPT types as systemd's Discoverable Partitions Specification and UEFI name them.
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
SWAP = "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"
EFI_SYSTEM = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
BASIC_DATA = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"
EFI_MOUNTS = ("/boot/efi", "/efi")


@dataclass(frozen=True)
class Slot:
    """One partition as it will lie on the disk. `order` is None for the mark's."""

    number: int
    start_mib: int
    size_mib: int
    order: PartitionOrder | None = None

    @property
    def gpt_type(self) -> str:
        if self.order is None:
            return MARK_PARTITION_TYPE
        if self.order.file_system is FileSystem.VFAT:
            return EFI_SYSTEM if self.order.mount in EFI_MOUNTS else BASIC_DATA
        return SWAP if self.order.file_system is FileSystem.SWAP else LINUX

    @property
    def name(self) -> str:
        """As in PARTLABEL."""
        return MARK_NAME if self.order is None else self.order.label or self.order.mount.strip("/").replace("/", "-") or "root"


def reckon_layout(orders: Sequence[PartitionOrder], disk_bytes: int, unpacked_bytes: int = 0) -> tuple[Slot, ...]:
    """Where each partition lies. `unpacked_bytes`: what the image will take, 0 if nobody said.

    Raises DiskError where the disk is too small, which is before the first write.
    """
    room_mib = disk_bytes // MIB - FIRST_MIB - TABLE_MIB
    fixed_mib = sum(order.size_mib for order in orders)
    rest_mib = room_mib - fixed_mib
    least_rest_mib = LEAST_REST_MIB if any(order.size_mib == 0 for order in orders) else 0
    if rest_mib < least_rest_mib:
        raise _too_small(f"the partitions need {fixed_mib + least_rest_mib + FIRST_MIB + TABLE_MIB} MiB", disk_bytes)
    slots, start_mib = [Slot(1, TABLE_MIB, MARK_MIB)], FIRST_MIB
    for number, order in enumerate(orders, start=2):
        slots.append(Slot(number, start_mib, order.size_mib or rest_mib, order))
        start_mib += slots[-1].size_mib
    files_mib = sum(slot.size_mib for slot in slots if slot.order and slot.order.mount)
    if unpacked_bytes > files_mib * MIB:
        raise _too_small(f"the image unpacks to {unpacked_bytes // MIB} MiB, and its partitions have {files_mib}", disk_bytes)
    return tuple(slots)


def _too_small(why: str, disk_bytes: int) -> DiskError:
    return DiskError(
        f"the disk is too small: {why}; it has {disk_bytes // MIB} MiB; nothing was written",
        "order smaller partitions, or say min_gb in [install.disk] so that such disks are left alone",
    )


def sfdisk_script(slots: Sequence[Slot]) -> str:
    """What sfdisk reads. Disk and partitions get random GUIDs from it."""
    rows = [f'start={slot.start_mib}MiB, size={slot.size_mib}MiB, type={slot.gpt_type}, name="{slot.name}"' for slot in slots]
    return "\n".join(["label: gpt", "unit: sectors", *rows, ""])


def sfdisk_argv(device: str) -> list[str]:
    """Old signatures in the way are wiped; telling the kernel is left to who can wait for it."""
    return ["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--wipe=always", "--wipe-partitions=always", device]


def format_argv(order: PartitionOrder, device: str) -> list[str]:
    """The command that makes the file system."""
    match order.file_system:
        case FileSystem.EXT4:
            return ["mke2fs", "-q", "-F", "-t", "ext4", *(["-L", order.label] if order.label else []), device]
        case FileSystem.VFAT:
            return ["mkfs.vfat", *(["-n", order.label.upper()] if order.label else []), device]
        case FileSystem.SWAP:
            return ["mkswap", *(["-L", order.label] if order.label else []), device]


def mount_options(file_system: FileSystem) -> str:
    """For the time of the installation. FAT keeps no owners: without `quiet` it would refuse each one."""
    return "noatime,quiet" if file_system is FileSystem.VFAT else "noatime"
