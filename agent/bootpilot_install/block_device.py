"""A disk as a stretch of bytes: written at offsets, flushed for certain, read back from the medium. Owns the descriptor.

Partitions are addressed by their place on the disk, so that it does not matter which of them the kernel has seen.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootpilot_agent.partition_table import Partition, read_partitions
from bootpilot_install.errors import DiskError, GuardError

# linux/fs.h; the same numbers on x86, ARM and RISC-V.
BLKRRPART = 0x125F
BLKFLSBUF = 0x1261
BLKSSZGET = 0x1268
ZEROS = bytes(1 << 20)


class BlockDevice:
    """One whole disk, open."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self.size_bytes = os.lseek(descriptor, 0, os.SEEK_END)

    @property
    def sector_bytes(self) -> int:
        """A file in a test has none."""
        try:
            return int.from_bytes(fcntl.ioctl(self._descriptor, BLKSSZGET, bytes(4)), "little")
        except OSError:
            return 512

    def partitions(self) -> tuple[Partition, ...]:
        """The table as it stands on the medium; () where there is none that can be read."""
        with _told(self.path, "partition table"):
            return read_partitions(self.read_at, self.size_bytes, self.sector_bytes)

    def read_at(self, offset: int, size: int) -> bytes:
        """May be fewer bytes, at the end. Raises OSError."""
        return os.pread(self._descriptor, size, offset) if 0 <= offset < self.size_bytes else b""

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """All of it. Raises DiskError."""
        with _told(self.path, f"writing at byte {offset}"):
            view = memoryview(data)
            while view:
                written = os.pwrite(self._descriptor, view, offset)
                view, offset = view[written:], offset + written

    def zero(self, offset: int, size: int) -> None:
        """Raises DiskError."""
        end = min(offset + size, self.size_bytes)
        for start in range(max(0, offset), end, len(ZEROS)):
            self.write_at(start, memoryview(ZEROS)[: min(len(ZEROS), end - start)])

    def flush(self) -> None:
        """On the medium, and no longer in the cache: what is read next comes from the disk. Raises DiskError."""
        with _told(self.path, "flushing"):
            os.fsync(self._descriptor)
            try:
                fcntl.ioctl(self._descriptor, BLKFLSBUF, 0)
            except OSError as error:
                if error.errno != errno.ENOTTY:  # a plain file
                    raise

    def reread_table(self) -> None:
        """Tell the kernel. Raises OSError: EBUSY while somebody has a partition open."""
        fcntl.ioctl(self._descriptor, BLKRRPART, 0)


@contextmanager
def open_disk(path: Path, *, write: bool = False, claim: bool = False) -> Iterator[BlockDevice]:
    """`claim`: it must be nobody else's; a mounted or otherwise used disk is refused with GuardError.

    Raises DiskError if it cannot be opened.
    """
    # Linux only: O_EXCL without O_CREAT claims a block device (open(2)).
    flags = (os.O_RDWR if write else os.O_RDONLY) | (os.O_EXCL if claim else 0)
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise GuardError(f"{path} is in use (mounted, or part of something that is); nothing was written") from error
        raise DiskError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        yield BlockDevice(path, descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = f"{path}: {what}: {error.strerror or error}"
        raise DiskError(why, "is the disk failing? See the kernel's messages") from error
