"""Kernels in what distributions pack them in, by the real programs; damaged and cut ones are refused by name."""

import gzip
import lzma
import os
import subprocess
from pathlib import Path

import pytest

from bootpilot_agent.errors import LocalBootError
from bootpilot_agent.unpacking import unpack_kernel
from tests.fakes.wrapped_kernels import zboot

# More than one chunk, and with a part that hardly needs room packed.
KERNEL = os.urandom(1 << 20) + bytes(3 << 20) + b"the end"
PACKED = {
    "gzip": gzip.compress(KERNEL),
    "xz": lzma.compress(KERNEL),
    "lzma": lzma.compress(KERNEL, format=lzma.FORMAT_ALONE),
    "zstd": subprocess.run(["zstd", "-q", "-c"], input=KERNEL, capture_output=True, check=True).stdout,
}


@pytest.mark.parametrize("name", PACKED)
def test_a_packed_kernel_is_unpacked_alone_and_in_a_zboot_image(name: str, tmp_path: Path) -> None:
    for content in (PACKED[name], zboot(PACKED[name])):
        path = tmp_path / "kernel"
        path.write_bytes(content)
        unpack_kernel(path)
        assert path.read_bytes() == KERNEL
        assert [found.name for found in tmp_path.iterdir()] == ["kernel"]


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("part", [0.5, 0.00004])
def test_one_that_is_cut_off_is_refused(name: str, part: float, tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(PACKED[name][: int(len(PACKED[name]) * part)])
    with pytest.raises(LocalBootError, match="is cut off"):
        unpack_kernel(path)


@pytest.mark.parametrize("name", PACKED)
def test_one_that_is_damaged_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(PACKED[name][:100] + b"\xff" * 5000 + PACKED[name][5100:])
    with pytest.raises(LocalBootError, match="kernel: damaged"):
        unpack_kernel(path)


def test_a_zboot_image_that_ends_before_its_payload_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(zboot(PACKED["gzip"], missing=10))
    with pytest.raises(LocalBootError, match="an EFI zboot image whose payload ends at"):
        unpack_kernel(path)


def test_what_is_not_packed_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    for content in (b"", b"MZ", KERNEL):
        path.write_bytes(content)
        unpack_kernel(path)
        assert path.read_bytes() == content
