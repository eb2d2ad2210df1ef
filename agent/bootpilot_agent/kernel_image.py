"""Tells from its first bytes what kind of kernel a file is, and refuses what kexec cannot start here. Reads one file.

kexec(8) guesses formats too, but late and tersely; and a truncated zImage or one for another CPU may even load and then die
without a word.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent.errors import PlanError

HEAD_BYTES = 4096


@dataclass(frozen=True)
class Format:
    """A kind of file: the bytes that tell it, the architecture whose kexec starts it ("" for none), what to do otherwise."""

    name: str
    offset: int
    magic: bytes
    arch: str
    hint: str = ""


_UNPACK = "unpack it on the server; kexec wants the bare {wanted}"
_OTHER_CPU = "the plan's profile is for boards of another architecture"

# The first row that fits counts: every EFI-stub kernel starts with "MZ" too, so the general rows stand last.
FORMATS = (
    Format("arm64 Image", 56, b"ARM\x64", "arm64", _OTHER_CPU),  # Documentation/arch/arm64/booting.rst
    Format("riscv64 Image", 56, b"RSC\x05", "riscv64", _OTHER_CPU),  # Documentation/arch/riscv/boot-image-header.rst
    Format("amd64 bzImage", 0x202, b"HdrS", "amd64", _OTHER_CPU),  # Documentation/arch/x86/boot.rst
    Format("armhf zImage", 0x24, b"\x18\x28\x6f\x01", "armhf", _OTHER_CPU),  # arch/arm/boot/compressed/head.S
    Format("EFI zboot image", 4, b"zimg", "", _UNPACK),  # drivers/firmware/efi/libstub/zboot-header.S
    Format("gzip file", 0, b"\x1f\x8b", "", _UNPACK),
    Format("zstd file", 0, b"\x28\xb5\x2f\xfd", "", _UNPACK),
    Format("xz file", 0, b"\xfd7zXZ\0", "", _UNPACK),
    Format("U-Boot uImage", 0, b"\x27\x05\x19\x56", "", "strip its 64-byte header; kexec wants the bare {wanted}"),
    Format("device tree or FIT image", 0, b"\xd0\x0d\xfe\xed", "", "take the kernel out of it; kexec wants the bare {wanted}"),
    Format("ELF file (vmlinux?)", 0, b"\x7fELF", "", "use the file that the kernel package installs under /boot, a {wanted}"),
    Format(
        "EFI program (a unified kernel image?)",
        0,
        b"MZ",
        "",
        "take the .linux section out of it; kexec wants the bare {wanted}",
    ),
)
WANTED = {row.arch: row.name for row in FORMATS if row.arch}


@dataclass(frozen=True)
class KernelImage:
    """A kernel that this architecture's kexec can start, and the memory it occupies while it starts."""

    format: str
    memory_bytes: int


def check_kernel(path: Path, arch: str) -> KernelImage:
    """The kernel in this file. Raises PlanError with what it is, what it should be, and a hint."""
    size = path.stat().st_size
    with path.open("rb") as file:
        return check_kernel_head(file.read(HEAD_BYTES), size, arch)


def check_kernel_head(head: bytes, size: int, arch: str) -> KernelImage:
    """The same from the first HEAD_BYTES of a kernel of `size` bytes."""
    row = next((row for row in FORMATS if head[row.offset : row.offset + len(row.magic)] == row.magic), None)
    if row is None or row.arch != arch:
        what = row.name if row else f"nothing known (it starts with {head[:8].hex(' ')})"
        hint = row.hint if row else "look at the artifact on the server; kexec wants the bare {wanted}"
        raise PlanError(f"kernel: {WANTED[arch]} expected, got {what}", hint.format(wanted=WANTED[arch]))
    try:
        needed, memory = SIZES[arch](head)
    except (IndexError, struct.error) as error:
        raise PlanError(f"kernel: truncated within its header, {size} bytes", _IMPORT_AGAIN) from error
    if size < needed:
        raise PlanError(f"kernel: truncated: its header says {needed} bytes, the file has {size}", _IMPORT_AGAIN)
    return KernelImage(row.name, max(memory, size))


_IMPORT_AGAIN = "the file was cut before the server took it; add the artifact again"


def _bzimage_sizes(head: bytes) -> tuple[int, int]:
    """(bytes the file must have, bytes in memory)."""
    setup_sectors = head[0x1F1] or 4
    paragraphs, boot_flag = struct.unpack_from("<I6xH", head, 0x1F4)
    version, xloadflags, init_size = (
        struct.unpack_from("<H", head, 0x206)[0],
        head[0x236],
        struct.unpack_from("<I", head, 0x260)[0],
    )
    # kexec-tools starts a 64-bit kernel by its 64-bit entry only with boot protocol 2.12 (kexec/arch/x86_64/kexec-bzImage64.c).
    if boot_flag != 0xAA55 or version < 0x020C or not xloadflags & 1:
        protocol = f"{version >> 8}.{version & 255}"
        raise PlanError(f"kernel: amd64 bzImage expected, got one without 64-bit entry (boot protocol {protocol})", _OTHER_CPU)
    # syssize counts 16-byte units rounded up, plus a checksum that newer kernels leave out.
    return (setup_sectors + 1) * 512 + max(paragraphs * 16 - 20, 0), init_size


def _arm64_sizes(head: bytes) -> tuple[int, int]:
    image_size, flags = struct.unpack_from("<QQ", head, 16)
    if flags & 1:
        raise PlanError("kernel: arm64 Image expected, got a big-endian one", _OTHER_CPU)
    return _end_of_sections(head), image_size


def _end_of_sections(head: bytes) -> int:
    """Where the last section of the EFI stub's PE header ends; image_size counts .bss and so cannot tell the file's length."""
    pe_offset: int = struct.unpack_from("<I", head, 60)[0]
    if head[:2] != b"MZ" or pe_offset > HEAD_BYTES - 64:
        return 64
    if head[pe_offset : pe_offset + 4] != b"PE\0\0":
        return pe_offset + 24
    sections, optional_bytes = struct.unpack_from("<2xH12xH", head, pe_offset + 4)
    first = pe_offset + 24 + optional_bytes
    raw = [struct.unpack_from("<II", head, first + 40 * index + 16) for index in range(min(sections, 16))]
    return max((size + offset for size, offset in raw), default=64)


def _zimage_sizes(head: bytes) -> tuple[int, int]:
    start, end = struct.unpack_from("<II", head, 0x28)
    if end <= start:
        raise PlanError(f"kernel: zImage header says it ends ({end:#x}) before it starts ({start:#x})", _IMPORT_AGAIN)
    return end - start, 0


def _riscv64_sizes(head: bytes) -> tuple[int, int]:
    return 64, struct.unpack_from("<Q", head, 16)[0]


SIZES = {"amd64": _bzimage_sizes, "arm64": _arm64_sizes, "armhf": _zimage_sizes, "riscv64": _riscv64_sizes}
