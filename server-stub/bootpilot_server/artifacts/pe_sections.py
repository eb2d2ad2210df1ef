"""The sections of an EFI program (Microsoft's PE/COFF specification). No I/O here; whatever the bytes say, nothing is read
outside of them.
"""

import struct
from collections.abc import Iterator

COFF_BYTES, SECTION_BYTES = 24, 40
# systemd-stub's own programs have some ten; a profile adds a few.
MAX_SECTIONS = 256


def pe_sections(image: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and content of each, in order; nothing for what is no PE."""
    if image[:2] != b"MZ" or len(image) < 64:
        return
    (start,) = struct.unpack_from("<I", image, 0x3C)
    if image[start : start + 4] != b"PE\0\0" or start + COFF_BYTES > len(image):
        return
    count, optional = struct.unpack_from("<H12xH", image, start + 6)
    table = start + COFF_BYTES + optional
    for index in range(min(count, MAX_SECTIONS)):
        header = image[table + index * SECTION_BYTES : table + (index + 1) * SECTION_BYTES]
        if len(header) < SECTION_BYTES:
            return
        name, virtual_bytes, raw_bytes, offset = struct.unpack_from("<8sI4xII", header)
        # What is in the file is padded to the file's alignment; the virtual size is the content's own.
        yield name.rstrip(b"\0").decode("ascii", "replace"), image[offset : offset + min(virtual_bytes, raw_bytes)]
