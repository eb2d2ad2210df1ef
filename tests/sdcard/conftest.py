"""Loaders that are quickly made: what is around them on a card is what these tests look at."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.sdcard.board import Board
from scripts.sdcard.build import LoaderFiles

MakeLoader = Callable[[Board], LoaderFiles]


@pytest.fixture
def loader_for(tmp_path: Path) -> MakeLoader:
    """A loader with every device tree that a board's row names."""

    def make(board: Board) -> LoaderFiles:
        kernel, initramfs, dtbs = tmp_path / "vmlinuz", tmp_path / "initrd", tmp_path / "dtbs"
        kernel.write_bytes(b"kernel " * 300_000)
        initramfs.write_bytes(bytes(range(256)) * 20_000)
        for tree in board.trees:
            (dtbs / tree.path).parent.mkdir(parents=True, exist_ok=True)
            (dtbs / tree.path).write_bytes(b"\xd0\x0d\xfe\xed" + tree.path.encode())
        return LoaderFiles(kernel, initramfs, dtbs, "0123456789abcdef", "6.1.0-test")

    return make
