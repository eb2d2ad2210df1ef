"""Telling kernels from what is none, before kexec sees them."""

import contextlib
import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpilot_agent.errors import PlanError
from bootpilot_agent.kernel_image import FORMATS, SIZES, WANTED, Format, check_kernel, check_kernel_head
from tests.fakes.kernels import KERNELS, SIZE, arm64_image, bzimage, zimage


@pytest.mark.parametrize("arch", KERNELS)
def test_a_kernel_of_the_boards_own_kind_is_taken(arch: str, tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(KERNELS[arch]())
    assert check_kernel(path, arch).memory_bytes >= SIZE


@pytest.mark.parametrize("board", KERNELS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_of_another_kind_is_named(board: str, kernel: str) -> None:
    if board == kernel:
        assert check_kernel_head(KERNELS[kernel](), SIZE, board)
        return
    with pytest.raises(PlanError, match=f"got {kernel}") as raised:
        check_kernel_head(KERNELS[kernel](), SIZE, board)
    assert "another architecture" in raised.value.hint


@pytest.mark.parametrize(
    ("content", "name"),
    [
        # With a time of its own its bytes, and so the test's name, would be others in each process of a run.
        (gzip.compress(arm64_image(), mtime=0), "gzip file"),
        (b"MZ\0\0zimg" + bytes(100), "EFI zboot image"),
        (b"\x27\x05\x19\x56" + bytes(100), "U-Boot uImage"),
        (b"\x7fELF" + bytes(100), "ELF file"),
        (b"MZ" + bytes(5000), "EFI program"),
        (b"\xd0\x0d\xfe\xed" + bytes(100), "device tree or FIT image"),
        (b"\x28\xb5\x2f\xfd" + bytes(100), "zstd file"),
        (b"<html>404 Not Found</html>", "nothing known"),
        (b"", "nothing known"),
    ],
)
@pytest.mark.parametrize("arch", KERNELS)
def test_what_kexec_cannot_start_is_named_with_what_to_do(content: bytes, name: str, arch: str) -> None:
    with pytest.raises(PlanError, match=name.replace("(", r"\(")) as raised:
        check_kernel_head(content, len(content), arch)
    assert raised.value.hint
    assert "{" not in raised.value.hint


@pytest.mark.parametrize("make", [bzimage, arm64_image, zimage])
def test_a_truncated_kernel_is_noticed(make: type) -> None:
    arch = next(arch for arch, maker in KERNELS.items() if maker is make)
    with pytest.raises(PlanError, match="truncated"):
        check_kernel_head(KERNELS[arch](SIZE, SIZE * 3), SIZE, arch)


@pytest.mark.parametrize("arch", KERNELS)
@pytest.mark.parametrize("length", [64, 0x250])
def test_a_kernel_cut_within_its_header_is_noticed(arch: str, length: int) -> None:
    head = KERNELS[arch]()[:length]
    with pytest.raises(PlanError):
        check_kernel_head(head, length, arch)


def test_a_zimage_that_ends_before_it_starts_is_refused() -> None:
    broken = bytearray(zimage())
    broken[0x28:0x2C] = (0x7FFFFFFF).to_bytes(4, "little")
    with pytest.raises(PlanError, match="before it starts"):
        check_kernel_head(bytes(broken), SIZE, "armhf")


def test_a_big_endian_arm64_image_is_refused() -> None:
    with pytest.raises(PlanError, match="big-endian"):
        check_kernel_head(arm64_image(flags=1), SIZE, "arm64")


def test_an_x86_kernel_without_64_bit_entry_is_refused() -> None:
    broken = bytearray(bzimage())
    broken[0x206:0x208] = (0x0204).to_bytes(2, "little")
    with pytest.raises(PlanError, match=r"boot protocol 2\.4"):
        check_kernel_head(bytes(broken), SIZE, "amd64")


@given(st.sampled_from(sorted(SIZES)), st.binary(max_size=700), st.sampled_from(FORMATS))
def test_no_bytes_at_all_cause_anything_but_a_refusal(arch: str, noise: bytes, row: Format) -> None:
    for content in (noise, _with_magic(noise, row)):
        with contextlib.suppress(PlanError):
            assert check_kernel_head(content, len(content), arch).format == WANTED[arch]


def _with_magic(noise: bytes, row: Format) -> bytes:
    end = row.offset + len(row.magic)
    padded = bytearray(noise.ljust(end, b"\xff"))
    padded[row.offset : end] = row.magic
    return bytes(padded)
