"""What boot ROMs check before they start a piece of firmware, so that a wrong file is refused here and not by a silent board.

No I/O here. A rule takes the piece's bytes and returns what is wrong with them, "" if nothing is.
"""

import struct
from collections.abc import Callable

from scripts.sdcard.board import KIB, FirmwarePiece
from scripts.sdcard.errors import CardError

OMAP_KEY = 0xC0C0C0C1
OMAP_TOC_BYTES = 512
OMAP_LARGEST = 128 * KIB
SUNXI_STAMP = 0x5F0A6C39
SUNXI_LARGEST_SPL = 32 * KIB
IMX_TAG, IMX_BYTES, IMX_VERSIONS = 0xD1, 32, (0x40, 0x41)
PE_MACHINES = {"aa64": 0xAA64, "x64": 0x8664}


def omap_problem(raw: bytes) -> str:
    """A table of contents with CHSETTINGS, then size and load address (TI, AM335x manual, tables 26-20, 26-21, 26-36)."""
    if len(raw) < OMAP_TOC_BYTES + 8:
        return f"{len(raw)} bytes are too few"
    offset, size = struct.unpack_from("<2I", raw)
    if raw[20:31] != b"CHSETTINGS\0":
        return "no table of contents with CHSETTINGS"
    if offset + size > OMAP_TOC_BYTES or struct.unpack_from("<I", raw, offset)[0] != OMAP_KEY:
        return "its CHSETTINGS section has no key c0c0c0c1"
    code_bytes, _ = struct.unpack_from("<2I", raw, OMAP_TOC_BYTES)
    if not 0 < code_bytes <= len(raw) or len(raw) > OMAP_LARGEST:
        return f"its header promises {code_bytes} bytes of code, the file has {len(raw)}, the boot ROM takes {OMAP_LARGEST}"
    return ""


def imx_problem(raw: bytes) -> str:
    """An image vector table, and boot data that cover the file (i.MX53 reference manual, 7.7; U-Boot's imximage.h)."""
    if len(raw) < IMX_BYTES + 12:
        return f"{len(raw)} bytes are too few"
    tag, length, version = struct.unpack_from(">BHB", raw)
    if tag != IMX_TAG or length != IMX_BYTES or version not in IMX_VERSIONS:
        return f"no image vector table: {raw[:4].hex(' ')}, expected d1 00 20 40"
    data, own = struct.unpack_from("<2I", raw, 16)
    if not own < data <= own + len(raw) - 8:
        return "its boot data lie outside the file"
    start, size = struct.unpack_from("<2I", raw, data - own)
    # The load includes what lies before the table on the card.
    before = own - start
    if before < 0 or size < before + len(raw) - IMX_BYTES:
        return f"its boot data load {size} bytes, the file needs {before + len(raw)}"
    return ""


def sunxi_problem(raw: bytes) -> str:
    """An eGON.BT0 header whose checksum is right: the sum of the SPL's words with the stamp in the checksum's place."""
    if raw[4:12] != b"eGON.BT0":
        return "no eGON.BT0 header"
    checksum, length = struct.unpack_from("<2I", raw, 12)
    if length % 4 or not 0 < length <= min(len(raw), SUNXI_LARGEST_SPL):
        return f"its SPL has {length} bytes"
    words = struct.unpack_from(f"<{length // 4}I", raw)
    total = (sum(words) - checksum + SUNXI_STAMP) & 0xFFFFFFFF
    return "" if total == checksum else f"its checksum is {checksum:08x}, its words sum up to {total:08x}"


def efi_problem(raw: bytes, machine: str) -> str:
    """A PE image for the machine (UEFI specification 2.1.1)."""
    if len(raw) < 64 or raw[:2] != b"MZ":
        return "no PE image"
    (offset,) = struct.unpack_from("<I", raw, 60)
    if raw[offset : offset + 4] != b"PE\0\0":
        return "no PE image"
    (found,) = struct.unpack_from("<H", raw, offset + 4)
    return "" if found == PE_MACHINES[machine] else f"for machine {found:04x}, expected {PE_MACHINES[machine]:04x}"


RULES: dict[str, Callable[[bytes], str]] = {
    "omap": omap_problem,
    "imx": imx_problem,
    "sunxi": sunxi_problem,
    "efi-aa64": lambda raw: efi_problem(raw, "aa64"),
    "efi-x64": lambda raw: efi_problem(raw, "x64"),
}


def check_firmware(board: str, piece: FirmwarePiece, raw: bytes) -> None:
    """Raises CardError if the board would not start this piece."""
    problem = RULES[piece.rule](raw) if piece.rule else ""
    if problem:
        raise CardError(f"{board}: {piece.name} is no firmware that the board starts: {problem}", piece.reason)
