"""The boards that cards are made for: every row, by every name. Pure data: a new board is a new row."""

import difflib

from scripts.sdcard import rows_64bit, rows_armhf
from scripts.sdcard.board import KIB, MIB, Board
from scripts.sdcard.errors import CardError

__all__ = ["BOARDS", "KIB", "MIB", "ROWS", "Board", "board_named"]

ROWS = (
    rows_armhf.PANDABOARD,
    rows_armhf.BEAGLEBONE_BLACK,
    rows_armhf.IMX53_QSB,
    rows_armhf.VEXPRESS_A9,
    rows_armhf.VEXPRESS_A15,
    rows_armhf.ORANGEPI_PC,
    rows_armhf.CUBIEBOARD,
    rows_armhf.BANANAPI_M2_ULTRA,
    rows_armhf.RASPBERRYPI_2,
    rows_64bit.RASPBERRYPI,
    rows_64bit.JH7110,
    rows_64bit.VIRT_ARMHF,
    rows_64bit.VIRT_ARM64,
    rows_64bit.VIRT_RISCV64,
    rows_64bit.UEFI_ARM64,
    rows_64bit.UEFI_AMD64,
)
# Every name of every row: members of a family share its row, and so its image.
BOARDS: dict[str, Board] = {name: board for board in ROWS for name in board.names}


def board_named(name: str) -> Board:
    """The row of a board or of its family. Raises CardError with the nearest names there are."""
    if name in BOARDS:
        return BOARDS[name]
    near = difflib.get_close_matches(name.lower(), BOARDS, n=3, cutoff=0.5)
    raise CardError(
        f"no board is called {name!r}",
        f"did you mean {' or '.join(near)}?" if near else "build-sdcard --list shows all boards",
    )
