"""Where a kernel, its tree and its initrd go in memory, on real memory maps and on hostile sizes."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpilot_agent.errors import KexecError
from bootpilot_agent.kexec_segments import (
    KERNEL_ALIGNMENT,
    PAGE_BYTES,
    Piece,
    Range,
    free_ranges,
    kernel_piece,
    place,
    round_up,
)
from tests.fakes.kernels import riscv64_image

MIB = 1 << 20
# QEMU's virt board with 512 MiB, Linux 6.12: OpenSBI at the bottom, the loader's initrd in the middle, the tree at the top.
QEMU = """\
00101000-00101fff : 101000.rtc rtc@101000
30000000-3fffffff : PCI ECAM
80000000-9fffffff : System RAM
  80000000-8007ffff : Reserved
  80200000-80201fff : Reserved
  80202000-8206a337 : Kernel image
    80202000-80c76977 : Kernel code
    81fb9000-8206a337 : Kernel bss
  8206a338-821fffff : Reserved
  88200000-88d01fff : Reserved
  9fff9000-9fffffff : Reserved
400000000-7ffffffff : pci@30000000
"""


def test_what_the_firmware_and_the_loader_reserved_is_left_alone_and_the_running_kernel_is_not() -> None:
    assert free_ranges(QEMU) == (
        Range(0x80080000, 0x80200000),
        Range(0x80202000, 0x8206A000),
        Range(0x82200000, 0x88200000),
        Range(0x88D02000, 0x9FFF9000),
    )


def test_memory_that_is_reserved_beside_system_ram_is_no_memory_either() -> None:
    assert free_ranges("40000000-4003ffff : reserved\n40040000-40ffffff : System RAM\n") == (Range(0x40040000, 0x41000000),)


@pytest.mark.parametrize("text", ["", "00000000-00000000 : System RAM\n", "garbage"])
def test_a_map_that_shows_nothing_is_an_error_that_says_what_to_look_at(text: str) -> None:
    with pytest.raises(KexecError, match="System RAM") as raised:
        free_ranges(text)
    assert "root" in raised.value.hint


def test_a_kernel_of_debian_s_size_goes_to_the_lowest_place_that_holds_it_whole() -> None:
    head = bytearray(riscv64_image(8192))
    head[16:24] = (0x1E6B000).to_bytes(8, "little")
    pieces = (kernel_piece(bytes(head), 0x1DB8C00), Piece("device tree", 6000), Piece("initrd", 60 * MIB))
    assert place(pieces, free_ranges(QEMU)) == {"kernel": 0x82200000, "device tree": 0x84200000, "initrd": 0x84202000}


def test_what_does_not_fit_is_named_with_its_size_and_what_is_left() -> None:
    with pytest.raises(KexecError, match=r"initrd of 400\.0 MiB: the largest that is left has 371\.0 MiB"):
        place((Piece("initrd", 400 * MIB),), free_ranges(QEMU))


def test_a_kernel_takes_what_its_header_says_or_its_file_if_that_is_more_in_whole_2_mib() -> None:
    size_bytes = 3 * MIB
    assert kernel_piece(riscv64_image(size_bytes), size_bytes).size_bytes == 6 * MIB
    assert kernel_piece(riscv64_image(8192), 5 * MIB).size_bytes == 6 * MIB


def test_a_kernel_that_wants_to_lie_off_the_2_mib_grid_is_refused() -> None:
    with pytest.raises(KexecError, match="0x80000 bytes into memory"):
        kernel_piece(riscv64_image(8192, text_offset=0x80000), 8192)


SIZES = st.one_of(
    st.integers(1, 1 << 20), st.integers(1, 1 << 66), st.sampled_from([PAGE_BYTES, PAGE_BYTES + 1, KERNEL_ALIGNMENT])
)
RANGES = st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(0, 1 << 30)), max_size=8)


@given(st.lists(st.tuples(SIZES, st.sampled_from([PAGE_BYTES, KERNEL_ALIGNMENT])), min_size=1, max_size=4), RANGES)
def test_whatever_the_sizes_pieces_never_overlap_and_never_leave_free_memory(
    wanted: list[tuple[int, int]], memory: list[tuple[int, int]]
) -> None:
    text = "".join(f"{start:x}-{start + size:x} : System RAM\n" for start, size in memory)
    pieces = [Piece(f"piece {number}", *row) for number, row in enumerate(wanted)]
    try:
        free = free_ranges(text)
        addresses = place(pieces, free)
    except KexecError:
        return
    spans = sorted((addresses[piece.name], addresses[piece.name] + round_up(piece.size_bytes, PAGE_BYTES)) for piece in pieces)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))
    assert all(any(space.start <= start and end <= space.end for space in free) for start, end in spans)
    assert all(addresses[piece.name] % piece.alignment == 0 for piece in pieces)
