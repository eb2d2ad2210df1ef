"""A kernel out of what distributions wrap it in: gzip, EFI zboot, unified kernel images, U-Boot's legacy images.

kexec starts the bare image of its architecture and nothing else, so what a board cannot start is unpacked once, here.
"""

import struct
import zlib
from dataclasses import dataclass, field, replace

from bootpilot_server.artifacts.compression import FAULTS, beginning_of, compression_of, unpack
from bootpilot_server.artifacts.kernel_header import HEADER_BYTES, kernel_arch
from bootpilot_server.artifacts.pe_sections import pe_sections
from bootpilot_server.errors import OperatorError

UIMAGE_MAGIC, UIMAGE_BYTES = b"\x27\x05\x19\x56", 64
# include/image.h of U-Boot: IH_TYPE_*.
UIMAGE_TYPES = {2: "kernel", 3: "initrd", 4: "several files in one", 6: "script", 8: "device tree"}
MAX_DEPTH = 4


@dataclass(frozen=True)
class Unwrapped:
    """What was in a file, by role. `forms` are the wrappers, the outermost first; none if there is nothing to unwrap."""

    forms: tuple[str, ...] = ()
    kernel: bytes = field(default=b"", repr=False)
    initrds: tuple[bytes, ...] = field(default=(), repr=False)
    dtb: bytes = field(default=b"", repr=False)
    command_line: str = ""
    version: str = ""


# Of what is compressed so much must be read before its first bytes come out: a block of zstd's.
PEEK_BYTES = 256 << 10


def is_wrapped(head: bytes) -> bool:
    """From the first bytes of a file: may a kernel, or an initrd for U-Boot, be wrapped in it? Compressed initrds are not."""
    if kernel_arch(head[:HEADER_BYTES]):
        # A kernel with an EFI stub is a PE too. It is bare, unless something larger has it as its stub's section.
        return False
    if head.startswith((UIMAGE_MAGIC, b"MZ")):
        return True
    return kernel_arch(_beginning(head)) != ""


def unwrap(data: bytes, what: str, depth: int = 0) -> Unwrapped:
    """Down to what kexec takes. Raises OperatorError for what is damaged or holds no kernel."""
    head = data[:HEADER_BYTES]
    if kernel_arch(head):
        return Unwrapped(kernel=data)
    if depth > MAX_DEPTH:
        raise OperatorError(f"{what}: is wrapped more than {MAX_DEPTH} times")
    if data[:2] == b"MZ" and data[4:8] == b"zimg":
        return _outside("EFI zboot", unwrap(_zboot_payload(data, what), what, depth + 1))
    if data.startswith(UIMAGE_MAGIC):
        return _uimage(data, what, depth)
    if data.startswith(b"MZ"):
        return _uki(data, what, depth)
    if kind := compression_of(head):
        return _outside(kind, unwrap(unpack(data, what), what, depth + 1))
    raise OperatorError(f"{what}: holds no kernel that kexec takes (bzImage, Image or zImage)", "--as-is stores it as it is")


def _zboot_payload(data: bytes, what: str) -> bytes:
    """drivers/firmware/efi/libstub/zboot-header.S: offset and size of the payload at 8, the compression's name at 24."""
    if len(data) < 64:
        raise OperatorError(f"{what}: ends within the header of its EFI zboot image", "fetch the file again")
    offset, size = struct.unpack_from("<II", data, 8)
    payload = data[offset : offset + size]
    if len(payload) < size or not size:
        raise OperatorError(
            f"{what}: an EFI zboot image with {len(payload)} of {size} bytes of payload", "fetch the file again"
        )
    name = data[24:32].rstrip(b"\0").decode("ascii", "replace")
    if not compression_of(payload):
        raise OperatorError(f"{what}: an EFI zboot image with a payload ({name!r}) that is not known here", "--as-is stores it")
    return unpack(payload, what)


def _uimage(data: bytes, what: str, depth: int) -> Unwrapped:
    """include/image.h: size at 12, the data's CRC at 24, type at 30; all big-endian."""
    if len(data) < UIMAGE_BYTES:
        raise OperatorError(f"{what}: ends within its U-Boot header", "fetch the file again")
    size, crc, kind = struct.unpack_from(">I8xI2xB", data, 12)
    content = data[UIMAGE_BYTES : UIMAGE_BYTES + size]
    if len(content) < size or zlib.crc32(content) != crc:
        raise OperatorError(f"{what}: a U-Boot image that is not whole (its checksum differs)", "fetch the file again")
    if UIMAGE_TYPES.get(kind) == "initrd":
        return Unwrapped(("U-Boot image",), initrds=(content,))
    if UIMAGE_TYPES.get(kind) == "kernel":
        return _outside("U-Boot image", unwrap(content, what, depth + 1))
    raise OperatorError(f"{what}: a U-Boot image of {UIMAGE_TYPES.get(kind, f'type {kind}')}", "take the kernel out of it")


def _uki(data: bytes, what: str, depth: int) -> Unwrapped:
    """The UAPI group's specification of unified kernel images. Of several profiles in one image the common base counts."""
    found: dict[str, bytes] = {}
    for name, content in pe_sections(data):
        if name == ".profile":
            break
        found.setdefault(name, content)
    if ".linux" not in found:
        text = "an EFI program without a .linux section, so no unified kernel image"
        raise OperatorError(f"{what}: {text}", "--as-is stores it as it is")
    inner = unwrap(found[".linux"], what, depth + 1)
    # Microcode comes first: the kernel looks for it at the very beginning.
    initrds = tuple(found[name] for name in (".ucode", ".initrd") if found.get(name))
    return replace(
        _outside("unified kernel image", inner),
        initrds=initrds,
        dtb=found.get(".dtb", b""),
        command_line=_text(found.get(".cmdline", b"")),
        version=_text(found.get(".uname", b"")),
    )


def _outside(form: str, inner: Unwrapped) -> Unwrapped:
    return replace(inner, forms=(form, *inner.forms))


def _beginning(head: bytes) -> bytes:
    """The first bytes of what is compressed here."""
    try:
        return beginning_of(head, HEADER_BYTES)
    except (*FAULTS, OperatorError):
        return b""


def _text(raw: bytes) -> str:
    """systemd-stub takes the command line up to a NUL, and lines for blanks."""
    return " ".join(raw.partition(b"\0")[0].decode("utf-8", "replace").split())
