"""Makes a captured GPT whole again: capture-board took the names out, which the table's checksums cover. No I/O here."""

import struct
import zlib

MARK = b"EFI PART"
SECTOR_SIZES = (512, 4096)
# UEFI 2.10, table 5.5: length of the header, its checksum, where the entries are and how many, and their checksum.
LENGTH, HEADER_CRC, ENTRIES, ENTRIES_CRC = 12, 16, 72, 88
HEADER_BYTES = 92
ENTRY_BYTES, ENTRY_COUNT = 128, 128


def with_checksums(disk: bytes) -> bytes:
    """The first sectors of a disk, as they were captured; what is no GPT stays as it is."""
    for sector_bytes in SECTOR_SIZES:
        if disk[sector_bytes:].startswith(MARK):
            return _repaired(disk, sector_bytes)
    return disk


def _repaired(disk: bytes, sector_bytes: int) -> bytes:
    header = bytearray(disk[sector_bytes : 2 * sector_bytes])
    entries = disk[2 * sector_bytes :][: ENTRY_COUNT * ENTRY_BYTES]
    if len(header) < sector_bytes:
        return disk
    (length,) = struct.unpack_from("<I", header, LENGTH)
    start, count, size = struct.unpack_from("<QII", header, ENTRIES)
    if not HEADER_BYTES <= length <= sector_bytes or (start, count, size) != (2, ENTRY_COUNT, ENTRY_BYTES):
        return disk
    struct.pack_into("<I", header, ENTRIES_CRC, zlib.crc32(entries))
    struct.pack_into("<I", header, HEADER_CRC, 0)
    struct.pack_into("<I", header, HEADER_CRC, zlib.crc32(header[:length]))
    return disk[:sector_bytes] + bytes(header) + disk[2 * sector_bytes :]
