"""Which blocks of an image must be written, in the format of bmap-tools (version 2.0), so that a card is written in seconds.

Everything up to the last used cluster of the file system counts, zeros too: what an older card left in the gaps or in the FAT
would otherwise be read as ours.
"""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from scripts.sdcard.board import Table
from scripts.sdcard.layout import GPT_BYTES, Layout

BLOCK_BYTES = 4096
CHUNK_BYTES = 4 << 20
# Low 28 bits of an entry of the FAT; 0 is a free cluster (Microsoft's FAT specification 1.03).
FAT_MASK = 0x0FFFFFFF
NO_CHECKSUM = "0" * 64


@dataclass(frozen=True)
class BlockRange:
    """Blocks `first` to `last`, both included."""

    first: int
    last: int

    @property
    def start(self) -> int:
        return self.first * BLOCK_BYTES

    @property
    def size(self) -> int:
        return (self.last - self.first + 1) * BLOCK_BYTES


def needed_ranges(image: Path, layout: Layout) -> tuple[BlockRange, ...]:
    """The blocks of the image that a card needs."""
    used = BlockRange(0, (layout.partition.start + _used_bytes(image, layout) - 1) // BLOCK_BYTES)
    if layout.table is Table.MBR:
        return (used,)
    last = layout.card_bytes // BLOCK_BYTES - 1
    return (used, BlockRange((layout.card_bytes - GPT_BYTES) // BLOCK_BYTES, last))


def read_range(path: Path, wanted: BlockRange) -> Iterator[bytes]:
    """The bytes of a range, in chunks."""
    with path.open("rb") as stream:
        stream.seek(wanted.start)
        left = wanted.size
        while left and (chunk := stream.read(min(left, CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk


def range_sha256(path: Path, wanted: BlockRange) -> str:
    """SHA-256 of a range of an image or a card."""
    digest = hashlib.sha256()
    for chunk in read_range(path, wanted):
        digest.update(chunk)
    return digest.hexdigest()


def to_bmap(image: Path, ranges: tuple[BlockRange, ...]) -> bytes:
    """The block map's XML; the same image gives the same bytes."""
    size = image.stat().st_size
    root = ElementTree.Element("bmap", version="2.0")
    fields = {
        "ImageSize": size,
        "BlockSize": BLOCK_BYTES,
        "BlocksCount": -(-size // BLOCK_BYTES),
        "MappedBlocksCount": sum(item.last - item.first + 1 for item in ranges),
        "ChecksumType": "sha256",
        "BmapFileChecksum": NO_CHECKSUM,
    }
    for name, value in fields.items():
        ElementTree.SubElement(root, name).text = f" {value} "
    block_map = ElementTree.SubElement(root, "BlockMap")
    for item in ranges:
        element = ElementTree.SubElement(block_map, "Range", chksum=range_sha256(image, item))
        element.text = f" {item.first}-{item.last} "
    ElementTree.indent(root, "    ")
    text = b'<?xml version="1.0" ?>\n' + ElementTree.tostring(root) + b"\n"
    # The file's own checksum is taken with zeros in its place.
    return text.replace(NO_CHECKSUM.encode(), hashlib.sha256(text).hexdigest().encode(), 1)


def _used_bytes(image: Path, layout: Layout) -> int:
    """From the partition's start to the end of its last used cluster."""
    with image.open("rb") as stream:
        stream.seek(layout.partition.start)
        boot = stream.read(512)
        sector, cluster_sectors, reserved, fats = struct.unpack_from("<HBHB", boot, 11)
        (fat_sectors,) = struct.unpack_from("<I", boot, 36)
        stream.seek(layout.partition.start + reserved * sector)
        fat = stream.read(fat_sectors * sector)
    last = max((number for number, (entry,) in enumerate(struct.iter_unpack("<I", fat)) if entry & FAT_MASK), default=1)
    return int((reserved + fats * fat_sectors + (last - 1) * cluster_sectors) * sector)
