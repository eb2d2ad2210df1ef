"""Refuses, by its header, a file that is no device tree: with what kexec passes on unseen, a kernel dies without a word.

The header is that of the Devicetree Specification, section 5.2: big-endian words, magic and size first.
"""

import struct
from pathlib import Path

from bootpilot_agent.errors import PlanError
from bootpilot_agent.kernel_image import FORMATS, HEAD_BYTES

MAGIC = b"\xd0\x0d\xfe\xed"
HEADER = struct.Struct(">4s6I")
HEADER_BYTES = 40
# Readers of version 17, which all are, take trees that say they can be read as 16 or 17 (section 5.1).
READABLE = (16, 17)
_HINT = "the plan's tree must be what dtc writes with `-O dtb`, whole and unpacked; add the artifact again"


def check_device_tree(path: Path) -> None:
    """Raises PlanError with what the file is instead, or what is wrong with its header."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head.startswith(MAGIC):
        raise PlanError(f"device tree: a .dtb file expected, got {_name(head)}", _HINT)
    if size < HEADER_BYTES:
        raise PlanError(f"device tree: truncated within its header, {size} bytes", _HINT)
    _, total, structure, strings, reserved, _, compatible = HEADER.unpack_from(head)
    if total > size:
        raise PlanError(f"device tree: truncated: its header says {total} bytes, the file has {size}", _HINT)
    if compatible not in READABLE or not all(HEADER_BYTES <= part < total for part in (structure, strings, reserved)):
        raise PlanError("device tree: its header is damaged", _HINT)


def _name(head: bytes) -> str:
    text = next((row.name for row in FORMATS if row.magic == head[row.offset : row.offset + len(row.magic)]), "")
    if not text and head.lstrip().startswith((b"/dts-v1/", b"/*", b"//")):
        text = "device tree source"
    return text or f"nothing known (it starts with {head[:8].hex(' ')})"
