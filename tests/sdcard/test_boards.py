"""The table of boards: complete, with reasons, and found by every name."""

from pathlib import Path

import pytest

from scripts.sdcard.board import Board, Menu
from scripts.sdcard.boards import BOARDS, ROWS, board_named
from scripts.sdcard.errors import CardError
from scripts.sdcard.rom_rules import RULES

ASKED_FOR = """
    pandaboard imx53-qsb vexpress-a9 vexpress-a15 orangepi-pc cubieboard bananapi-m2-ultra raspberrypi-2 raspberrypi-3
    raspberrypi-4 cm4 beaglebone-black visionfive2 mars-cm virt-armhf virt-arm64 virt-riscv64 uefi-arm64 uefi-amd64
"""
PAGES = Path(__file__).parents[2] / "scripts/sdcard/pages"
EACH_ROW = pytest.mark.parametrize("board", ROWS, ids=lambda board: board.name)


def test_every_board_that_was_asked_for_has_a_row() -> None:
    assert set(ASKED_FOR.split()) <= set(BOARDS)


def test_no_two_rows_have_a_name_in_common() -> None:
    names = [name for board in ROWS for name in board.names]
    assert len(names) == len(set(names))


def test_members_of_a_family_share_one_image() -> None:
    assert board_named("raspberrypi-3") is board_named("raspberrypi-4") is board_named("cm4")
    assert board_named("visionfive2") is board_named("mars-cm")


@pytest.mark.parametrize(
    ("typed", "near"), [("pandabord", "pandaboard"), ("OrangePi-PC", "orangepi-pc"), ("raspberry-pi-4", "raspberrypi-4")]
)
def test_an_unknown_board_is_answered_with_the_nearest_names(typed: str, near: str) -> None:
    with pytest.raises(CardError, match=f"no board is called '{typed}'") as refusal:
        board_named(typed)
    assert near in refusal.value.hint


def test_a_name_like_no_other_is_answered_with_the_list() -> None:
    with pytest.raises(CardError) as refusal:
        board_named("zzzz")
    assert "--list" in refusal.value.hint


@EACH_ROW
def test_every_board_but_a_pc_starts_its_loader_with_one_cpu(board: Board) -> None:
    assert ("nr_cpus=1" in [argument.text for argument in board.arguments]) == (board.arch != "amd64")


@EACH_ROW
def test_every_odd_value_has_its_reason(board: Board) -> None:
    reasons = [item.reason for group in (board.firmware, board.reserved, board.arguments) for item in group]
    reasons += [source.reason for source in (board.source, board.flash, board.script) if source]
    reasons += [board.fdt_reason] if board.fdt else []
    reasons += [board.menu_reason] if board.menu in (Menu.BOOT_SCRIPT, Menu.PI_CONFIG) else []
    assert all(len(reason) > 10 for reason in reasons)
    assert board.proof


@EACH_ROW
def test_every_row_is_consistent(board: Board) -> None:
    assert {piece.rule for piece in board.firmware} <= {"", *RULES}
    assert all(piece.offset_bytes is not None or piece.on_card for piece in board.firmware)
    assert (board.source is None) == (board.firmware == ())
    assert not board.fdt or board.fdt in [tree.path for tree in board.trees]
    assert (board.script is not None) == (board.menu is Menu.BOOT_SCRIPT)


@EACH_ROW
def test_every_board_has_a_page_that_names_it(board: Board) -> None:
    text = (PAGES / board.page).read_text()
    index = (PAGES / "README.md").read_text()
    assert f"({board.page})" in index
    assert any(name in text for name in board.names)
    assert "## What is known not to work" in text


def test_every_page_belongs_to_a_board() -> None:
    assert {path.name for path in PAGES.glob("*.md")} == {"README.md", *(board.page for board in ROWS)}
