"""Writes an image to a disk and reads it back. The only module that writes to a device; target_disk.py has said yes before."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from bootpilot_agent.run import run
from scripts.sdcard.block_map import CHUNK_BYTES, BlockRange, needed_ranges, range_sha256, read_range
from scripts.sdcard.board import Table
from scripts.sdcard.errors import CardError
from scripts.sdcard.layout import GPT_BYTES, Layout

# <linux/fs.h>: forget what is cached of the device; read its partition table anew.
BLKFLSBUF, BLKRRPART = 0x1261, 0x125F
RELOCATE_TIMEOUT_S = 60.0

Report = Callable[[str, int, int], None]  # what, bytes done, bytes in all


def write_card(image: Path, layout: Layout, device: Path, report: Report) -> None:
    """Write the blocks that a card needs, and compare what reads back.

    Raises:
        CardError: the device is in use or fails, or reads back something else.
    """
    ranges = needed_ranges(image, layout)
    try:
        _write(image, ranges, layout, device, report)
        _check(image, ranges, device, report)
    except OSError as error:
        raise CardError(f"{device}: {error.strerror}", "is the card in use, write-protected or broken?") from error
    if layout.table is Table.GPT and device.is_block_device():
        # The copy of the table belongs at the end of the card, which is larger than the image.
        run(["sfdisk", "--relocate", "gpt-bak-std", str(device)], timeout_s=RELOCATE_TIMEOUT_S)


def _write(image: Path, ranges: tuple[BlockRange, ...], layout: Layout, device: Path, report: Report) -> None:
    total, done = sum(item.size for item in ranges), 0
    # Exclusive: the kernel refuses a device that is mounted or part of a RAID, LVM or the like (open(2), O_EXCL).
    exclusive = os.O_EXCL if device.is_block_device() else 0
    with os.fdopen(os.open(device, os.O_WRONLY | exclusive), "wb", buffering=0) as stream:
        if layout.table is Table.MBR:
            _clear_old_table(stream.fileno())
        for item in ranges:
            stream.seek(item.start)
            for chunk in read_range(image, item):
                _write_all(stream.fileno(), chunk)
                done += len(chunk)
                report("writing", done, total)
        os.fsync(stream.fileno())
        _forget_cache(stream.fileno(), device)


def _check(image: Path, ranges: tuple[BlockRange, ...], device: Path, report: Report) -> None:
    total, done = sum(item.size for item in ranges), 0
    for item in ranges:
        for first in range(item.first, item.last + 1, CHUNK_BYTES // 4096):
            piece = BlockRange(first, min(item.last, first + CHUNK_BYTES // 4096 - 1))
            if range_sha256(device, piece) != range_sha256(image, piece):
                raise CardError(
                    f"{device} reads back something else at byte {piece.start} to {piece.start + piece.size}",
                    "the card is broken, or smaller than it says: throw it away",
                )
            done += piece.size
            report("reading back", done, total)


def _clear_old_table(descriptor: int) -> None:
    """A GPT's copy at the end of a used card would make tools offer to repair the card."""
    end = os.lseek(descriptor, 0, os.SEEK_END)
    os.lseek(descriptor, max(end - GPT_BYTES, 0), os.SEEK_SET)
    _write_all(descriptor, bytes(min(GPT_BYTES, end)))


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _forget_cache(descriptor: int, device: Path) -> None:
    """What is read back must come from the card."""
    if device.is_block_device():
        fcntl.ioctl(descriptor, BLKFLSBUF)
        try:
            fcntl.ioctl(descriptor, BLKRRPART)
        except OSError:
            # Loop devices without partitions answer EINVAL.
            return
    elif device.is_file():
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
