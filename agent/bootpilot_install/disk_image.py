"""Writes the image of a whole disk: unpacked as it comes, only the mapped parts where there is a map, its beginning last.

The first MiB, with the partition table, is held back until the image is known to be right: an interrupted write leaves a disk
without a table, from which nothing boots, and which the next try may take.
"""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

from bootpilot_agent.fetch import Fetcher
from bootpilot_agent.install_order import Image
from bootpilot_agent.mark import MARK_PARTITION_TYPE
from bootpilot_install import network_way
from bootpilot_install.block_device import BlockDevice, open_disk
from bootpilot_install.block_map import MAX_MAP_BYTES, BlockMap, MappedRange
from bootpilot_install.errors import DiskError, DiskFullError, ImageError
from bootpilot_install.layout import MARK_MIB, MARK_NAME, MIB
from bootpilot_install.marks import MARK_BYTES, mark_partitions
from bootpilot_install.partitioning import tell_sfdisk
from bootpilot_install.stream import CHUNK_BYTES, Fetch, ImageStream, open_stream

HELD_BACK_BYTES = 1 << 20
GPT_MAGIC = b"EFI PART"


def check_size(image: Image, disk_bytes: int) -> None:
    """Raises DiskError for an image that says it is larger than the disk, before anything is written."""
    known_bytes = image.artifact.unpacked_bytes or image.artifact.size_bytes * (image.compression == "none")
    if known_bytes > disk_bytes:
        raise _too_small(known_bytes, disk_bytes)


def fetch_map(image: Image, fetcher: Fetcher) -> bytes:
    """The block map's text. Raises FetchError, VerifyError, ImageError."""
    if image.block_map is None:
        return b""
    if image.block_map.size_bytes > MAX_MAP_BYTES:
        raise ImageError(f"the block map has {image.block_map.size_bytes} bytes")
    fetcher.deadline, heard = network_way.silence_deadline()
    fetcher.on_bytes = lambda done_bytes: heard()
    kept = io.BytesIO()
    fetcher.fetch(image.block_map, kept, "block map")
    return kept.getvalue()


def write_image(image: Image, block_map: bytes, fetch: Fetch, device: BlockDevice) -> None:
    """All of it, flushed. Raises FetchError, VerifyError, ImageError, DiskError."""
    plan = BlockMap.from_bytes(block_map) if block_map else None
    if plan is not None and plan.image_bytes > device.size_bytes:
        raise _too_small(plan.image_bytes, device.size_bytes)
    writer = _Writer(device)
    with open_stream(fetch, image.compression, image.artifact.unpacked_bytes) as stream:
        if plan is None:
            _write_whole(stream, writer)
        else:
            _write_mapped(stream, plan, writer)
    device.flush()
    writer.write_head()
    device.flush()


class _Writer:
    """Puts bytes where they belong, and keeps the beginning."""

    def __init__(self, device: BlockDevice) -> None:
        self._device = device
        self._head = bytearray(min(HELD_BACK_BYTES, device.size_bytes))

    def put(self, offset: int, data: bytes) -> None:
        if offset + len(data) > self._device.size_bytes:
            raise DiskFullError(
                f"the image is larger than the disk, which has {self._device.size_bytes // MIB} MiB", "order a larger disk"
            )
        held = data[: max(0, len(self._head) - offset)]
        self._head[offset : offset + len(held)] = held
        if len(held) < len(data):
            self._device.write_at(offset + len(held), memoryview(data)[len(held) :])

    def write_head(self) -> None:
        self._device.write_at(0, bytes(self._head))


def _write_whole(stream: ImageStream, writer: _Writer) -> None:
    offset = 0
    while data := stream.read(CHUNK_BYTES):
        writer.put(offset, data)
        offset += len(data)
    if not offset:
        raise ImageError("the image is empty")


def _write_mapped(stream: ImageStream, plan: BlockMap, writer: _Writer) -> None:
    position = 0
    for part in plan.ranges:
        for _ in _pieces(stream, part.start - position):
            pass
        position = part.start
        digest = plan.new_digest()
        for piece in _pieces(stream, part.end - position):
            digest.update(piece)
            writer.put(position, piece)
            position += len(piece)
        _check_range(part, position, digest.hexdigest())
    for piece in _pieces(stream, plan.image_bytes - position):
        position += len(piece)
    if position != plan.image_bytes or stream.read(1):
        raise ImageError(
            f"the image has {'more than ' if position == plan.image_bytes else ''}{position} bytes, its block map says"
            f" {plan.image_bytes}",
            "the map belongs to another image",
        )


def _pieces(stream: ImageStream, size: int) -> Iterator[bytes]:
    while size > 0 and (piece := stream.read(min(CHUNK_BYTES, size))):
        size -= len(piece)
        yield piece


def _check_range(part: MappedRange, position: int, found: str) -> None:
    if position != part.end:
        raise ImageError(f"the image ends at byte {position}, in the middle of what its block map names")
    if part.checksum and found != part.checksum:
        raise ImageError(
            f"bytes {part.start} to {part.end} of the image have the checksum {found}, the block map says {part.checksum}",
            "the map belongs to another image",
        )


def add_mark_partition(path: Path, say: Callable[[str], None]) -> None:
    """On GPT: the table's copy moves to the disk's end, and the mark's partition is made before it. On MBR, or without room,
    nothing: the mark will be a file. Raises DiskError.
    """
    with open_disk(path, write=True) as device:
        sector_bytes = device.sector_bytes
        if device.read_at(sector_bytes, len(GPT_MAGIC)) != GPT_MAGIC:
            say("the image has no GPT: its mark will be a file in the root file system")
            return
        # An image that was made of an installed disk has the mark of that one.
        brought = mark_partitions(device)
        for part in brought:
            device.zero(part.start_bytes, MARK_BYTES)
        device.flush()
    quiet = ["--quiet", "--no-reread", "--no-tell-kernel"]
    tell_sfdisk(["sfdisk", *quiet, "--relocate", "gpt-bak-std", str(path)], "")
    with open_disk(path) as device:
        start = mark_start_bytes(device)
    if brought:
        say("the image brings a partition for the mark; what stood in it is void")
        return
    if start is None:
        say("the image leaves no room for the mark's partition: it will be a file in the root file system")
        return
    sectors = MARK_MIB * MIB // sector_bytes
    row = f'start={start // sector_bytes}, size={sectors}, type={MARK_PARTITION_TYPE}, name="{MARK_NAME}"\n'
    tell_sfdisk(["sfdisk", *quiet, "--append", "--wipe-partitions=always", str(path)], row)


def mark_start_bytes(device: BlockDevice) -> int | None:
    """The last whole MiB before the table's copy, None if a partition lies there."""
    last = device.size_bytes // MIB - 1 - MARK_MIB
    end = max((part.start_bytes + part.size_bytes for part in device.partitions()), default=0)
    return last * MIB if last * MIB >= max(end, MIB) else None


def _too_small(image_bytes: int, disk_bytes: int) -> DiskError:
    return DiskError(
        f"the disk is too small: the image has {image_bytes // MIB} MiB, the disk {disk_bytes // MIB}; nothing was written",
        "say min_gb in [install.disk] so that such disks are left alone",
    )
