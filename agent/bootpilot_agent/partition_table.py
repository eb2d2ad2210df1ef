"""MBR and GPT partition tables as the kernel numbers and names them. No I/O here: the caller passes a reader.

Numbers and PARTUUIDs follow block/partitions/{msdos,efi}.c: `%08x-%02x` of disk signature and number on MBR, the entry's
unique GUID on GPT. What is broken gives no partitions, never an exception of our own.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# Reads `size` bytes at `offset`; may return fewer.
ReadAt = Callable[[int, int], bytes]

MBR_BYTES = 512
EXTENDED_TYPES = (0x05, 0x0F, 0x85)
PROTECTIVE_TYPE = 0xEE
MAX_LOGICAL = 100
GPT_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
GPT_ENTRY_BYTES = 128
MAX_GPT_BYTES = 1 << 20


@dataclass(frozen=True)
class Partition:
    """One partition: its number as in /dev/sda1, its PARTUUID in lower case, and where it lies on the disk.

    `kind` is its type as sfdisk writes it, in lower case: a GUID on GPT, two hex digits on MBR; "" where nobody asked.
    `label` is its name on GPT.
    """

    number: int
    partuuid: str
    start_bytes: int
    size_bytes: int
    kind: str = ""
    label: str = ""


def read_partitions(read_at: ReadAt, disk_bytes: int, sector_bytes: int = 512) -> tuple[Partition, ...]:
    """All partitions of a disk; () if there is no table. Errors of `read_at` pass through."""
    mbr = read_at(0, MBR_BYTES)
    if not _has_mark(mbr):
        return ()
    if any(entry.kind == PROTECTIVE_TYPE for entry in _mbr_entries(mbr)):
        return tuple(_gpt_partitions(read_at, disk_bytes, sector_bytes))
    return tuple(_mbr_partitions(read_at, mbr, sector_bytes))


@dataclass(frozen=True)
class _MbrEntry:
    kind: int
    start: int
    count: int


def _has_mark(sector: bytes) -> bool:
    return len(sector) == MBR_BYTES and sector[510:] == b"\x55\xaa"


def _mbr_entries(sector: bytes) -> list[_MbrEntry]:
    rows = (sector[446 + 16 * index : 462 + 16 * index] for index in range(4))
    return [_MbrEntry(row[4], *struct.unpack("<II", row[8:])) for row in rows]


def _mbr_partitions(read_at: ReadAt, mbr: bytes, sector_bytes: int) -> Iterator[Partition]:
    (signature,) = struct.unpack("<I", mbr[440:444])

    def partition(number: int, entry: _MbrEntry) -> Partition:
        partuuid = f"{signature:08x}-{number:02x}"
        return Partition(number, partuuid, entry.start * sector_bytes, entry.count * sector_bytes, f"{entry.kind:02x}")

    extended = None
    for number, entry in enumerate(_mbr_entries(mbr), start=1):
        if entry.count:
            yield partition(number, entry)
            if entry.kind in EXTENDED_TYPES and extended is None:
                extended = entry.start
    if extended is not None:
        for number, entry in enumerate(_logical(read_at, extended, sector_bytes), start=5):
            yield partition(number, entry)


def _logical(read_at: ReadAt, extended: int, sector_bytes: int) -> Iterator[_MbrEntry]:
    here, seen = extended, set[int]()
    while len(seen) < MAX_LOGICAL and here not in seen:
        seen.add(here)
        sector = read_at(here * sector_bytes, MBR_BYTES)
        if not _has_mark(sector):
            return
        entries = [entry for entry in _mbr_entries(sector) if entry.count]
        for entry in entries:
            if entry.kind not in EXTENDED_TYPES:
                yield _MbrEntry(entry.kind, here + entry.start, entry.count)
        link = next((entry for entry in entries if entry.kind in EXTENDED_TYPES), None)
        if link is None:
            return
        here = extended + link.start


def _gpt_partitions(read_at: ReadAt, disk_bytes: int, sector_bytes: int) -> Iterator[Partition]:
    # The second header lies on the last sector; it counts where the first is damaged (UEFI 2.10, section 5.3.2).
    for lba in (1, disk_bytes // sector_bytes - 1):
        table = _gpt_table(read_at, lba, sector_bytes) if lba > 0 else None
        if table is not None:
            yield from _gpt_entries(*table, sector_bytes)
            return


def _gpt_table(read_at: ReadAt, lba: int, sector_bytes: int) -> tuple[bytes, int] | None:
    raw = read_at(lba * sector_bytes, sector_bytes)
    if len(raw) < GPT_HEADER.size:
        return None
    mark, _, length, crc, _, mine, _, _, _, _, start, count, size, entries_crc = GPT_HEADER.unpack_from(raw)
    if mark != b"EFI PART" or mine != lba or not GPT_HEADER.size <= length <= len(raw):
        return None
    if zlib.crc32(raw[:16] + bytes(4) + raw[20:length]) != crc:
        return None
    if size < GPT_ENTRY_BYTES or size % GPT_ENTRY_BYTES or not 0 < count * size <= MAX_GPT_BYTES:
        return None
    if start >= 1 << 48:
        return None
    entries = read_at(start * sector_bytes, count * size)
    return (entries, size) if zlib.crc32(entries) == entries_crc else None


def _gpt_entries(entries: bytes, size: int, sector_bytes: int) -> Iterator[Partition]:
    for number, offset in enumerate(range(0, len(entries), size), start=1):
        kind, unique, first, last = struct.unpack_from("<16s16sQQ", entries, offset)
        if any(kind) and first <= last:
            start, size_bytes = first * sector_bytes, (last - first + 1) * sector_bytes
            yield Partition(number, _guid(unique), start, size_bytes, _guid(kind), _name(entries, offset + 56))


def _name(entries: bytes, offset: int) -> str:
    """36 characters of UTF-16 (UEFI 2.10, table 5.6); the frozen agent has no codec for it, and a pair is a rarity here."""
    units = struct.unpack_from("<36H", entries, offset)
    return "".join("\ufffd" if 0xD800 <= unit < 0xE000 else chr(unit) for unit in units).partition("\0")[0]


def _guid(raw: bytes) -> str:
    """As in PARTUUID=: the first three fields are little-endian (UEFI 2.10, appendix A)."""
    first, second, third = struct.unpack_from("<IHH", raw)
    return f"{first:08x}-{second:04x}-{third:04x}-{raw[8:10].hex()}-{raw[10:].hex()}"
