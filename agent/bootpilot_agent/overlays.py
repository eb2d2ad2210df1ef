"""Applies device tree overlays by libfdt, the library that firmware and dtc use themselves. Owns that library.

Imported only for a plan that has overlays.
"""

import ctypes
from collections.abc import Sequence

from bootpilot_agent.errors import PlanError

SONAME = "libfdt.so.1"
# What an overlay adds is at most its own size, and its names and labels once more; a page for rounding (fdt_open_into).
ROOM_FACTOR, ROOM_BYTES = 3, 4096
# libfdt.h
NOT_FOUND, BAD_OVERLAY = 1, 16
HINTS = {
    NOT_FOUND: "the overlay names a label or path that the plan's tree has not; labels are in trees made by `dtc -@` only",
    BAD_OVERLAY: "an overlay is what `dtc -@` makes of a source with /plugin/; add the artifact again",
}


def apply_overlays(tree: bytes, overlays: Sequence[tuple[str, bytes]]) -> bytes:
    """The tree with (name, overlay) applied one after the other. Raises PlanError that names the one that does not fit."""
    libfdt = _load()
    room = len(tree) + ROOM_BYTES + sum(ROOM_FACTOR * len(overlay) for _, overlay in overlays)
    base = ctypes.create_string_buffer(room)
    _check(libfdt, "the plan's tree", libfdt.fdt_open_into(tree, base, room))
    for name, content in overlays:
        # libfdt writes its numbers into the overlay before it merges it.
        overlay = ctypes.create_string_buffer(content, len(content))
        _check(libfdt, name, libfdt.fdt_check_full(overlay, ctypes.c_size_t(len(content))))
        _check(libfdt, name, libfdt.fdt_overlay_apply(base, overlay))
    _check(libfdt, "the tree with its overlays", libfdt.fdt_pack(base))
    size = int.from_bytes(base.raw[4:8], "big")
    return base.raw[:size]


def _load() -> ctypes.CDLL:
    libfdt = ctypes.CDLL(SONAME)
    libfdt.fdt_strerror.restype = ctypes.c_char_p
    return libfdt


def _check(libfdt: ctypes.CDLL, name: str, result: int) -> None:
    if result < 0:
        words = libfdt.fdt_strerror(result).decode()
        raise PlanError(
            f"device tree: {name} cannot be applied: {words}", HINTS.get(-result, "was it made for this board's tree?")
        )
