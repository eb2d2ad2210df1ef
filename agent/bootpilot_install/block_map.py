"""The block map of a disk image, as bmaptool writes it: which parts hold anything, and their checksums. No I/O here.

Read by pattern and not as XML, which could name files and grow without bound: what such a map looks like is fixed
(bmaptool's docs, "Bmap format", version 2.0).
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from bootpilot_install.errors import ImageError

MAX_MAP_BYTES = 16 << 20
MAX_RANGES = 1 << 20
# Weaker ones are no reason to refuse a map: the whole image has its SHA-256 in the order.
CHECKSUMS = ("sha256", "sha1")

_RANGE = re.compile(
    r'<Range(?:\s+(?:chksum|sha1)\s*=\s*"([0-9a-fA-F]{40,64})")?\s*>\s*(\d{1,15})(?:\s*-\s*(\d{1,15}))?\s*</Range>'
)


@dataclass(frozen=True)
class MappedRange:
    """Bytes from `start` to before `end`, and the hex digest of what they hold ("" where the map has none)."""

    start: int
    end: int
    checksum: str


@dataclass(frozen=True)
class BlockMap:
    """Ranges in ascending order that do not touch each other's bytes, all inside the image."""

    image_bytes: int
    checksum_type: str
    ranges: tuple[MappedRange, ...]

    @classmethod
    def from_bytes(cls, raw: bytes) -> "BlockMap":
        """Raises ImageError."""
        text = re.sub(r"<!--.*?-->", "", raw.decode("utf-8", errors="replace"), flags=re.DOTALL)
        found = re.search(r'<bmap\s+version\s*=\s*"(\d+)\.\d+"', text)
        if not found or found[1] not in ("1", "2"):
            raise _wrong("it is no block map of version 1 or 2")
        image_bytes, block_bytes = _number(text, "ImageSize"), _number(text, "BlockSize")
        if not 512 <= block_bytes <= 1 << 20:
            raise _wrong(f"blocks of {block_bytes} bytes")
        kind = re.search(r"<ChecksumType>\s*(\w+)\s*</ChecksumType>", text)
        ranges = tuple(_ranges(text, block_bytes, image_bytes))
        named = kind[1].lower() if kind else "sha1"
        if named not in CHECKSUMS and any(one.checksum for one in ranges):
            raise _wrong(f"checksums of type {named}")
        if len(re.findall(r"<Range\b", text)) != len(ranges):
            raise _wrong("a range that cannot be read")
        if (count := _number(text, "MappedBlocksCount")) != sum(-(-(one.end - one.start) // block_bytes) for one in ranges):
            raise _wrong(f"it says that {count} blocks are mapped, and its ranges say otherwise")
        return cls(image_bytes, named, ranges)

    @property
    def mapped_bytes(self) -> int:
        return sum(one.end - one.start for one in self.ranges)

    def new_digest(self) -> "hashlib._Hash":
        return hashlib.new(self.checksum_type)


def _number(text: str, name: str) -> int:
    found = re.search(rf"<{name}>\s*(\d{{1,15}})\s*</{name}>", text)
    if not found:
        raise _wrong(f"{name} is missing")
    return int(found[1])


def _ranges(text: str, block_bytes: int, image_bytes: int) -> Iterator[MappedRange]:
    end = 0
    for number, found in enumerate(_RANGE.finditer(text)):
        first, last = int(found[2]), int(found[3] or found[2])
        start = first * block_bytes
        if number >= MAX_RANGES or last < first or start < end or start >= image_bytes:
            raise _wrong(f"range {first}-{last} is out of order or outside of the image")
        end = min((last + 1) * block_bytes, image_bytes)
        yield MappedRange(start, end, (found[1] or "").lower())


def _wrong(what: str) -> ImageError:
    return ImageError(f"the block map is wrong: {what}", "make it anew: bmaptool create IMAGE")
