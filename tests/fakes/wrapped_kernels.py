"""Kernels and initrds in what distributions wrap them in, made here after the formats' documents. None of them boots."""

import struct
import zlib
from collections.abc import Mapping

from tests.fakes.kernels import arm64_image, bzimage


def with_release(image: bytes, release: str) -> bytes:
    """The image of an arm64 kernel, or of another that is not compressed, with its banner in it."""
    banner = f"Linux version {release} (somebody@example) #1 SMP\n".encode()
    return image[:4096] + banner + image[4096 + len(banner) :]


def bzimage_with_release(release: str) -> bytes:
    """kernel_version of boot.rst: where the text stands, less 0x200."""
    image = bytearray(bzimage())
    struct.pack_into("<H", image, 0x20E, 0x800)
    text = f"{release} (somebody@example) #1 SMP\0".encode()
    image[0xA00 : 0xA00 + len(text)] = text
    return bytes(image)


def zboot(payload: bytes, name: bytes = b"gzip", *, missing: int = 0) -> bytes:
    """zboot-header.S: `missing` bytes of the payload are cut off."""
    header = bytearray(0x200)
    struct.pack_into("<2s2x4sII8x32s", header, 0, b"MZ", b"zimg", len(header), len(payload), name)
    return bytes(header) + payload[: len(payload) - missing] + (b"" if missing else bytes(8))


def pe(sections: Mapping[str, bytes] | list[tuple[str, bytes]], alignment: int = 512) -> bytes:
    """A PE with these sections, each padded as linkers do."""
    pairs = list(sections.items()) if isinstance(sections, Mapping) else sections
    head = bytearray(-(-(64 + 24 + 40 * len(pairs)) // alignment) * alignment)
    head[0:2] = b"MZ"
    struct.pack_into("<I", head, 0x3C, 64)
    struct.pack_into("<4sHH12xHH", head, 64, b"PE\0\0", 0xAA64, len(pairs), 0, 0)
    body = b""
    for index, (name, content) in enumerate(pairs):
        padded = content + bytes(-len(content) % alignment)
        where = len(head) + len(body)
        row = struct.pack("<8sIIII16x", name.encode(), len(content), where, len(padded), where)
        head[88 + 40 * index : 128 + 40 * index] = row
        body += padded
    return bytes(head) + body


def uimage(content: bytes, kind: int = 2, *, crc: int | None = None) -> bytes:
    """include/image.h of U-Boot."""
    checksum = zlib.crc32(content) if crc is None else crc
    return struct.pack(">IIIIIIIBBBB32s", 0x27051956, 0, 0, len(content), 0, 0, checksum, 5, 22, kind, 0, b"name") + content


def newc(*names: str) -> bytes:
    """A cpio archive of empty files, with its trailer."""
    archive = b""
    for name in (*names, "TRAILER!!!"):
        raw = name.encode() + b"\0"
        fields = "".join(f"{value:08x}" for value in (0, 0o100644, 0, 0, 1, 0, 0, 0, 0, 0, 0, len(raw), 0))
        entry = b"070701" + fields.encode() + raw
        archive += entry + bytes(-len(entry) % 4)
    return archive


ARM64 = with_release(arm64_image(), "6.1.0-50-arm64")
