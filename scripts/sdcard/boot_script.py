"""U-Boot's boot scripts: text -> boot.scr, in the legacy image format of U-Boot's include/image.h. No I/O here."""

import struct
import zlib

from scripts.sdcard.errors import CardError

# ih_magic, ih_hcrc, ih_time, ih_size, ih_load, ih_ep, ih_dcrc, then os, arch, type, comp (one byte each), ih_name[32].
HEADER = struct.Struct(">7I4B32s")
MAGIC = 0x27051956
OS_LINUX, ARCH_ARM, TYPE_SCRIPT, NO_COMPRESSION = 5, 2, 6, 0


def to_boot_script(text: str, name: str) -> bytes:
    """The script as `source` runs it: a header with two checksums, a table with one length, the text.

    Its time is 0: the bytes depend on the text alone.
    """
    content = text.encode()
    data = struct.pack(">2I", len(content), 0) + content
    kinds = (OS_LINUX, ARCH_ARM, TYPE_SCRIPT, NO_COMPRESSION)
    fields = (0, len(data), 0, 0, zlib.crc32(data), *kinds, name.encode())
    # The header's checksum is over the header with a checksum of 0.
    checksum = zlib.crc32(HEADER.pack(MAGIC, 0, *fields))
    return HEADER.pack(MAGIC, checksum, *fields) + data


def from_boot_script(raw: bytes) -> str:
    """The text of a boot.scr. Raises CardError if U-Boot would refuse it."""
    if len(raw) < HEADER.size + 8:
        raise CardError(f"boot.scr has {len(raw)} bytes, too few for a script")
    magic, checksum, *fields = HEADER.unpack_from(raw)
    data = raw[HEADER.size : HEADER.size + fields[1]]
    if magic != MAGIC or fields[7] != TYPE_SCRIPT:
        raise CardError(f"boot.scr is no script of U-Boot: magic {magic:08x}, type {fields[7]}")
    if checksum != zlib.crc32(HEADER.pack(MAGIC, 0, *fields)) or fields[4] != zlib.crc32(data):
        raise CardError("boot.scr has a wrong checksum", "write the card anew")
    (length,) = struct.unpack_from(">I", data)
    return data[8 : 8 + length].decode(errors="replace")
