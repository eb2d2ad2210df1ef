"""Plans where in memory a kernel, its device tree and its initrd go. Pure: texts and numbers in, addresses out; no I/O here.

Only what kexec_load(2) is told by hand needs this, see kexec_call.py.
"""

import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bootpilot_agent.errors import KexecError

PAGE_BYTES = 4096
MEBIBYTE = 1 << 20
# Documentation/arch/riscv/boot.rst: "The RISC-V Linux kernel expects to be placed at a PMD boundary (2MB aligned for rv64)".
KERNEL_ALIGNMENT = 2 * MEBIBYTE
_IOMEM_LINE = re.compile(r"^(?P<indent> *)(?P<first>[0-9a-f]+)-(?P<last>[0-9a-f]+) : (?P<name>.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Range:
    """Memory from `start` to before `end`."""

    start: int
    end: int


@dataclass(frozen=True)
class Piece:
    """Something to be placed, at a multiple of `alignment`; `size_bytes` is what it takes in memory."""

    name: str
    size_bytes: int
    alignment: int = PAGE_BYTES


def free_ranges(iomem: str) -> tuple[Range, ...]:
    """The memory that a next kernel may be put into, from the text of /proc/iomem, sorted.

    System RAM but for all that is reserved in it: among the loader's own passing reservations are the firmware's, and nothing
    tells them apart. The running kernel's image is no obstacle: the kernel moves segments to their places when it is done.

    Raises:
        KexecError: the text shows no memory, or only zeros, as it does to everybody but root.
    """
    rows = [(match["name"], int(match["first"], 16), int(match["last"], 16) + 1) for match in _IOMEM_LINE.finditer(iomem)]
    memory = [Range(first, end) for name, first, end in rows if name == "System RAM" and end > first + 1]
    if not memory:
        raise KexecError("/proc/iomem shows no System RAM", "is /proc mounted, and does the agent run as root?")
    free = memory
    for name, first, end in rows:
        if name.casefold() == "reserved":
            free = without(free, Range(first, end))
    return tuple(sorted((inner for inner in map(_whole_pages, free) if inner.end > inner.start), key=lambda inner: inner.start))


def without(ranges: Iterable[Range], taken: Range) -> list[Range]:
    """The ranges with `taken` cut out of them."""
    left = []
    for space in ranges:
        parts = (Range(space.start, min(space.end, taken.start)), Range(max(space.start, taken.end), space.end))
        left += [part for part in parts if part.end > part.start]
    return left


def place(pieces: Sequence[Piece], free: Sequence[Range]) -> dict[str, int]:
    """Name -> address, each piece at the lowest place that takes it and lies above those before it.

    So the kernel, given first, has its tree and initrd above it: older ones do not use the memory below themselves
    (arch/riscv/mm/init.c before 6.4).

    Raises:
        KexecError: a piece does not fit; the message has the sizes.
    """
    addresses = {}
    left = list(free)
    for piece in pieces:
        size_bytes = round_up(piece.size_bytes, PAGE_BYTES)
        fitting = (round_up(space.start, piece.alignment) for space in left if _fits(space, size_bytes, piece.alignment))
        address = next(fitting, None)
        if address is None:
            raise _no_place(piece, left)
        addresses[piece.name] = address
        left = without(left, Range(0, address + size_bytes))
    return addresses


def kernel_piece(head: bytes, file_bytes: int) -> Piece:
    """A riscv64 Image from its header: it takes image_size, which counts what is not in the file (.bss), in whole 2 MiB.

    It reserves the last 2 MiB whole for itself, and refuses an initrd that begins in there (arch/riscv/mm/init.c,
    setup_bootmem; "INITRD: ... overlaps in-use memory region").

    Raises:
        KexecError: the header asks for a place that no kernel of today asks for.
    """
    text_offset, image_size = struct.unpack_from("<QQ", head, 8)
    if text_offset % KERNEL_ALIGNMENT:
        raise KexecError(
            f"the kernel wants to lie {text_offset:#x} bytes into memory, no multiple of 2 MiB",
            "its header is damaged, or it is older than Linux 5.0",
        )
    return Piece("kernel", round_up(max(image_size, file_bytes), KERNEL_ALIGNMENT), KERNEL_ALIGNMENT)


def round_up(number: int, multiple: int) -> int:
    """The smallest multiple that is at least `number`."""
    return -(-number // multiple) * multiple


def _fits(space: Range, size_bytes: int, alignment: int) -> bool:
    return round_up(space.start, alignment) + size_bytes <= space.end


def _whole_pages(space: Range) -> Range:
    return Range(round_up(space.start, PAGE_BYTES), space.end // PAGE_BYTES * PAGE_BYTES)


def _no_place(piece: Piece, left: Sequence[Range]) -> KexecError:
    largest = max((space.end - space.start for space in left), default=0)
    return KexecError(
        f"no free stretch of memory for the {piece.name} of {piece.size_bytes / MEBIBYTE:.1f} MiB:"
        f" the largest that is left has {largest / MEBIBYTE:.1f} MiB",
        "give this board a smaller kernel or initrd",
    )
