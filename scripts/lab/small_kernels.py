"""The smallest files that pass for a kernel of each architecture, headers after the formats' documents. They boot nothing.

No I/O here.
"""

import struct

SIZE = 8192


def bzimage(size: int = SIZE, claimed: int | None = None) -> bytes:
    """boot.rst of x86: protocol 2.15, 64-bit entry, one setup sector after the boot sector."""
    image = bytearray(size)
    image[0x1F1] = 1
    struct.pack_into("<I", image, 0x1F4, ((claimed or size) - 1024) // 16)
    struct.pack_into("<H4s", image, 0x1FE, 0xAA55, b"")
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x206, 0x020F)
    struct.pack_into("<H", image, 0x236, 0x3F)
    struct.pack_into("<I", image, 0x260, size * 4)
    return bytes(image)


def arm64_image(size: int = SIZE, claimed: int | None = None, flags: int = 0xA) -> bytes:
    """booting.rst of arm64, with the PE header of an EFI stub whose one section ends with the file."""
    image = bytearray(size)
    image[0:2] = b"MZ"
    struct.pack_into("<QQQ", image, 8, 0, size + 4096, flags)
    image[56:60] = b"ARM\x64"
    struct.pack_into("<I", image, 60, 64)
    struct.pack_into("<4sHH12xHH", image, 64, b"PE\0\0", 0xAA64, 1, 0, 0)
    struct.pack_into("<II", image, 64 + 24 + 16, (claimed or size) - 4096, 4096)
    return bytes(image)


def zimage(size: int = SIZE, claimed: int | None = None) -> bytes:
    """arch/arm/boot/compressed/head.S: magic, start, end."""
    image = bytearray(size)
    struct.pack_into("<III", image, 0x24, 0x016F2818, 0, claimed or size)
    return bytes(image)


def device_tree(structure: bytes = b"\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\x09", claimed: int | None = None) -> bytes:
    """Devicetree Specification, section 5: header, an empty reservation block, the root node, and one string."""
    total = 56 + len(structure) + 4
    return struct.pack(">10I", 0xD00DFEED, claimed or total, 56, total - 4, 40, 17, 16, 0, 4, len(structure)) + (
        bytes(16) + structure + b"abc\0"
    )


def riscv64_image(size: int = SIZE, text_offset: int = 0x200000) -> bytes:
    """boot-image-header.rst of riscv: it takes half as much again in memory as in the file."""
    image = bytearray(size)
    image[0:2] = b"MZ"
    struct.pack_into("<QQ", image, 8, text_offset, size * 3 // 2)
    image[48:60] = b"RISCV\0\0\0RSC\x05"
    return bytes(image)


KERNELS = {"amd64": bzimage, "arm64": arm64_image, "armhf": zimage}
