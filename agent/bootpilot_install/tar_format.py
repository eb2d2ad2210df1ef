"""Reads tar archives as they stream by: ustar, GNU and pax headers, long names, extended attributes, sparse files.

No I/O but onto the stream it is given. Python's own reader is three times as slow, keeps every member, and takes what is no
archive for the end of one. Formats: POSIX.1-2017 pax; GNU tar manual, "Basic Tar Format" and "Storing Sparse Files".
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from bootpilot_install.tar_fields import (
    damaged,
    decimal,
    identity,
    number,
    pax_records,
    plain,
    short_name,
    time_ns,
    xattrs,
)

# Exactly so many bytes, fewer only at the end.
Read = Callable[[int], bytes]

BLOCK = 512
CHUNK_BYTES = 1 << 20
# PATH_MAX is 4096; attributes of one file take at most 64 KiB each (fs/xattr.c).
MAX_LONG_NAME = 8192
MAX_PAX_BYTES = 1 << 20
MAX_SPARSE_PARTS = 1 << 20


class Kind(Enum):
    """What a member is."""

    FILE = "file"
    HARD_LINK = "hard link"
    SYMLINK = "symbolic link"
    CHARACTER_DEVICE = "character device"
    BLOCK_DEVICE = "block device"
    FOLDER = "folder"
    FIFO = "FIFO"


_KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,  # contiguous, which nobody cares for
    b"S": Kind.FILE,  # sparse, as GNU tar wrote them before pax
    b"1": Kind.HARD_LINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.CHARACTER_DEVICE,
    b"4": Kind.BLOCK_DEVICE,
    b"5": Kind.FOLDER,
    b"6": Kind.FIFO,
}


@dataclass
class Member:
    """One name in the archive, as it stands there. `stored` bytes follow its header; `size` is the file's, which may have holes
    between `parts` (offset, length). `mtime_ns` is since 1970.
    """

    name: bytes
    kind: Kind
    mode: int
    uid: int
    gid: int
    stored: int
    size: int
    mtime_ns: int
    link: bytes
    device: tuple[int, int]
    xattrs: dict[str, bytes] = field(default_factory=dict)
    parts: list[tuple[int, int]] | None = None

    @property
    def shown(self) -> str:
        """The name for a person."""
        return ascii(self.name.decode(errors="backslashreplace"))[1:-1][:200]


class TarReader:
    """`members()` once; the content of each may be taken by `content()` before the next is asked for."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._left = 0  # of the present member's content
        self._padding = 0
        self._globals: dict[bytes, bytes] = {}

    def members(self) -> Iterator[Member]:
        """Raises ImageError for what is no archive, is damaged, or ends too early."""
        pax: dict[bytes, bytes] = {}
        sparse: list[tuple[bytes, bytes]] = []
        long_name = long_link = b""
        while (block := self._next_block()) is not None:
            kind = block[156:157]
            size = number(block, 124, 12)
            if kind in (b"x", b"g"):
                records = pax_records(self._small(size, MAX_PAX_BYTES))
                if kind == b"g":
                    self._globals.update(records)
                else:
                    pax, sparse = dict(records), [row for row in records if row[0].startswith(b"GNU.sparse.")]
            elif kind == b"L":
                long_name = self._small(size, MAX_LONG_NAME).rstrip(b"\0")
            elif kind == b"K":
                long_link = self._small(size, MAX_LONG_NAME).rstrip(b"\0")
            else:
                member = self._member(block, {**self._globals, **pax}, sparse, long_name, long_link)
                pax, sparse, long_name, long_link = {}, [], b"", b""
                yield member
        if pax or long_name or long_link:
            raise damaged("it ends between a header and its member")

    def content(self, member: Member) -> Iterator[tuple[int, bytes]]:
        """The member's data with the offset of each piece in the file."""
        for offset, length in member.parts if member.parts is not None else [(0, self._left)]:
            done = 0
            while done < length:
                piece = self._take(min(CHUNK_BYTES, length - done))
                yield offset + done, piece
                done += len(piece)

    def _take(self, size: int) -> bytes:
        if size > self._left:
            raise damaged("a member is shorter than its header says")
        data = self._read(size)
        if len(data) < size:
            raise damaged("it ends in the middle of a file")
        self._left -= size
        return data

    def _small(self, size: int, most: int) -> bytes:
        if size > most:
            raise damaged(f"a header of {size} bytes")
        self._left, self._padding = size, -size % BLOCK
        return self._take(size)

    def _next_block(self) -> bytes | None:
        """The next header; None at the end, which is a block of zeros, or nothing at all after the last member."""
        while self._left:
            self._take(min(CHUNK_BYTES, self._left))
        if self._padding and len(self._read(self._padding)) < self._padding:
            raise damaged("it ends in the middle of a file")
        self._padding = 0
        block = self._read(BLOCK)
        if not block or block == bytes(BLOCK):
            return None
        if len(block) < BLOCK:
            raise damaged("it ends in the middle of a header")
        # The checksum counts its own eight bytes as blanks.
        said = re.fullmatch(rb"[ \0]*([0-7]{1,7})[ \0]*", block[148:156])
        if not said or int(said[1], 8) != sum(block) - sum(block[148:156]) + 256:
            raise damaged("a header's checksum is wrong, or it is no tar archive")
        return block

    def _member(
        self, block: bytes, pax: dict[bytes, bytes], sparse: list[tuple[bytes, bytes]], long_name: bytes, long_link: bytes
    ) -> Member:
        flag = block[156:157]
        name = pax.get(b"GNU.sparse.name") or pax.get(b"path") or long_name or short_name(block)
        kind = _KINDS.get(flag)
        if kind is None:
            raise damaged(f"{name[:200]!a} is of a type that no root file system has: {flag!a}")
        stored = decimal(pax, b"size", number(block, 124, 12))
        if kind is Kind.FILE and name.endswith(b"/") and flag != b"S":
            kind = Kind.FOLDER  # as tar wrote them before 1988
            if stored:
                raise damaged(f"{name[:200]!a} is a folder with content")
        if kind is not Kind.FILE:
            if stored and kind is not Kind.FOLDER and kind is not Kind.HARD_LINK:
                raise damaged(f"{name[:200]!a} is a {kind.value} with content")
            stored = 0 if kind is not Kind.HARD_LINK else stored
        member = Member(
            name=name,
            kind=kind,
            mode=number(block, 100, 8) & 0o7777,
            uid=identity(pax, b"uid", number(block, 108, 8)),
            gid=identity(pax, b"gid", number(block, 116, 8)),
            stored=stored,
            size=stored,
            mtime_ns=time_ns(pax.get(b"mtime"), number(block, 136, 12)),
            link=pax.get(b"linkpath") or long_link or block[157:257].split(b"\0", 1)[0],
            device=(number(block, 329, 8), number(block, 337, 8)) if kind in _DEVICES else (0, 0),
            xattrs=xattrs(pax),
        )
        self._left, self._padding = stored, -stored % BLOCK
        if flag == b"S":
            self._read_old_sparse(block, member)
        elif sparse and kind is Kind.FILE:
            self._read_sparse(member, sparse)
        return member

    def _read_old_sparse(self, block: bytes, member: Member) -> None:
        parts = _old_parts(block, 386, 4)
        more, size = block[482], number(block, 483, 12)
        while more:
            extension = self._read(BLOCK)
            if len(extension) < BLOCK:
                raise damaged("it ends in the middle of a header")
            parts += _old_parts(extension, 0, 21)
            more = extension[504]
            if len(parts) > MAX_SPARSE_PARTS:
                raise damaged(f"{member.shown} has too many parts")
        _set_parts(member, parts, size, self._left)

    def _read_sparse(self, member: Member, rows: list[tuple[bytes, bytes]]) -> None:
        values = dict(rows)
        size = decimal(values, b"GNU.sparse.realsize", decimal(values, b"GNU.sparse.size", member.stored))
        if values.get(b"GNU.sparse.major") == b"1":
            parts = self._map_in_content()
        elif b"GNU.sparse.map" in values:
            numbers = [plain(word) for word in values[b"GNU.sparse.map"].split(b",")]
            parts = list(zip(numbers[::2], numbers[1::2], strict=False))
        else:
            offsets = [plain(value) for key, value in rows if key == b"GNU.sparse.offset"]
            lengths = [plain(value) for key, value in rows if key == b"GNU.sparse.numbytes"]
            parts = list(zip(offsets, lengths, strict=False))
        _set_parts(member, parts, size, self._left)

    def _map_in_content(self) -> list[tuple[int, int]]:
        """Format 1.0: decimal numbers on lines of their own before the data, padded to a block."""
        text = self._take(BLOCK)
        count = None
        while count is None or text.count(b"\n") < 1 + 2 * count:
            if count is None and b"\n" in text:
                count = plain(text.partition(b"\n")[0])
                if count > MAX_SPARSE_PARTS:
                    raise damaged("a sparse file has too many parts")
                continue
            if len(text) > 64 * MAX_SPARSE_PARTS:
                raise damaged("a sparse file's map does not end")
            text += self._take(BLOCK)
        numbers = [plain(word) for word in text.split(b"\n", 1 + 2 * count)[1 : 1 + 2 * count]]
        return list(zip(numbers[::2], numbers[1::2], strict=True))


_DEVICES = (Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE)


def _old_parts(block: bytes, start: int, count: int) -> list[tuple[int, int]]:
    rows = [(number(block, start + 24 * i, 12), number(block, start + 24 * i + 12, 12)) for i in range(count)]
    return [(offset, length) for offset, length in rows if offset or length]


def _set_parts(member: Member, parts: list[tuple[int, int]], size: int, left: int) -> None:
    end = 0
    for offset, length in parts:
        if offset < end or offset + length > size:
            raise damaged(f"{member.shown}: the parts of a sparse file overlap or lie outside of it")
        end = offset + length
    if sum(length for _, length in parts) > left:
        raise damaged(f"{member.shown}: a sparse file has less data than its map says")
    member.parts, member.size = parts, size
