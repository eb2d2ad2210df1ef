"""Mounts a partition of an installed system so that not one bit of its disk changes, and unmounts it again.

The kernel is told that the partition is read-only (BLKROSET) before it is mounted: a file system driver that would replay its
journal, or count its mounts, cannot.
"""

import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent.devices import Run
from bootpilot_agent.errors import CommandError, LocalBootError

MOUNT_POINT = "run/bootpilot/disk"
MOUNT_S = 60.0
# include/uapi/linux/fs.h
BLKROSET, BLKROGET = 0x125D, 0x125E
_ALWAYS = "nosuid,nodev,noexec"


@dataclass(frozen=True)
class FileSystem:
    """How it is mounted: the kernel's name for it, and the options with which nothing is replayed."""

    driver: str
    options: str


# Each file system's page in Documentation/filesystems/ (xfs: admin-guide/xfs.rst). Without its journal the newest files may be
# missing or half there: a kernel that was being installed when the power failed does not start, and the one before it does.
FILE_SYSTEMS = {
    "ext4": FileSystem("ext4", "ro,noload"),
    "ext3": FileSystem("ext4", "ro,noload"),
    "ext2": FileSystem("ext4", "ro"),
    # A copy of a disk has the same UUID, which XFS refuses otherwise.
    "xfs": FileSystem("xfs", "ro,norecovery,nouuid"),
    "btrfs": FileSystem("btrfs", "ro,rescue=nologreplay"),
    "f2fs": FileSystem("f2fs", "ro,norecovery"),
    "vfat": FileSystem("vfat", "ro"),
}
# Those that hold the root of a Linux system, which a mark's file can be in.
ROOT_KINDS = frozenset(FILE_SYSTEMS) - {"vfat"}

# What libblkid calls what this agent does not open, and what people call it.
UNSUPPORTED = {
    "LVM2_member": "LVM",
    "linux_raid_member": "a software RAID (md)",
    "crypto_LUKS": "an encrypted volume (LUKS)",
    "BitLocker": "an encrypted volume (BitLocker)",
    "zfs_member": "ZFS",
    "bcache": "bcache",
    "ddf_raid_member": "a RAID of the disk controller",
    "isw_raid_member": "a RAID of the disk controller",
}


@contextmanager
def mounted(device: str, kind: str, run: Run, root: Path = Path("/")) -> Iterator[Path]:
    """The folder in which the partition can be read. Raises LocalBootError that says what it is where it cannot be."""
    row = FILE_SYSTEMS.get(kind)
    if row is None:
        what = f"{UNSUPPORTED.get(kind, kind)}, which is not supported" if kind else "nothing that is known"
        hint = "a system is started from plain partitions with " + ", ".join(FILE_SYSTEMS)
        raise LocalBootError(f"{device} holds {what}", hint)
    point = root / MOUNT_POINT / device
    point.mkdir(mode=0o700, parents=True, exist_ok=True)
    node = root / "dev" / device
    with _read_only(node, device):
        try:
            run(["mount", "-t", row.driver, "-o", f"{row.options},{_ALWAYS}", str(node), str(point)], timeout_s=MOUNT_S)
        except CommandError as error:
            hint = f"the loader may lack the module {row.driver}, or the file system is damaged (fsck it from a rescue system)"
            raise LocalBootError(f"{device} ({kind}) cannot be mounted read-only: {error.message}", hint) from error
        try:
            yield point
        finally:
            run(["umount", str(point)], timeout_s=MOUNT_S)
            with suppress(OSError):
                point.rmdir()


@contextmanager
def _read_only(node: Path, name: str) -> Iterator[None]:
    try:
        descriptor = os.open(node, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise LocalBootError(f"{name} cannot be opened: {error.strerror}") from error
    try:
        # An image of a test is a plain file, and has no such switch.
        before = _set_read_only(descriptor, name) if stat.S_ISBLK(os.fstat(descriptor).st_mode) else None
        try:
            yield
        finally:
            if before is not None:
                fcntl.ioctl(descriptor, BLKROSET, struct.pack("i", before))
    finally:
        os.close(descriptor)


def _set_read_only(descriptor: int, name: str) -> int:
    """What it was before."""
    try:
        before: int = struct.unpack("i", fcntl.ioctl(descriptor, BLKROGET, struct.pack("i", 0)))[0]
        fcntl.ioctl(descriptor, BLKROSET, struct.pack("i", 1))
    except OSError as error:
        raise LocalBootError(f"{name} cannot be made read-only: {error.strerror}") from error
    return before
