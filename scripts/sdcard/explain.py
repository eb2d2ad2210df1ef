"""The table of boards as text for people: the list, and one row with all its reasons. No I/O here."""

import textwrap
from collections.abc import Iterator

from scripts.sdcard.board import KIB, Board, DebianFirmware, FirmwareSource
from scripts.sdcard.boards import ROWS

WIDTH = 116
PAGES = "scripts/sdcard/pages"


def list_text() -> str:
    """One line for each board, with the names of a family together."""
    names = [", ".join(board.names) for board in ROWS]
    width = max(len(name) for name in names)
    return "".join(f"{name:<{width}}  {board.arch:<8}{board.title}\n" for name, board in zip(names, ROWS, strict=True))


def explain_text(board: Board) -> str:
    """The board's row, each value with its reason."""
    lines = [f"{board.name}: {board.title} ({board.arch})"]
    for name, text in (*_identity_items(board), *_firmware_items(board), *_boot_items(board), *_people_items(board)):
        lines += _wrapped(name, text)
    return "\n".join(lines) + "\n"


def _identity_items(board: Board) -> Iterator[tuple[str, str]]:
    if board.aliases:
        yield "names", f"one image for {', '.join(board.aliases)}"
    yield "partition", f"{board.table.value}, one FAT32 from {_size(board.partition_start_bytes)} on"
    if board.power_of_two:
        yield "size", f"a power of two: {board.power_of_two}"


def _firmware_items(board: Board) -> Iterator[tuple[str, str]]:
    if board.source:
        yield "firmware", _source(board.source)
    for piece in board.firmware:
        yield piece.name, f"{_place(piece.offset_bytes, piece.on_card)}: {piece.reason}"
    if board.flash:
        yield "not on the card", f"{board.flash_file} of {_source(board.flash)}"
    for area in board.reserved:
        yield "kept free", f"{area.name}, {_size(area.size_bytes)} at {_size(area.offset_bytes)}: {area.reason}"


def _boot_items(board: Board) -> Iterator[tuple[str, str]]:
    yield "menu", "; ".join(text for text in (board.menu.value, board.menu_reason) if text)
    for tree in board.trees:
        chosen = f", chosen by a file `{tree.switch}` on the card" if tree.switch else ""
        yield "device tree", f"{tree.path}: {tree.model}{chosen}"
    if board.fdt:
        yield "named", f"{board.fdt}: {board.fdt_reason}"
    for argument in board.arguments:
        yield argument.text, argument.reason


def _people_items(board: Board) -> Iterator[tuple[str, str]]:
    yield "console", board.serial or "what the firmware names"
    yield "proof", board.proof
    for limit in board.limits:
        yield "limit", limit
    yield "more", f"{PAGES}/{board.page}"


def _wrapped(name: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=f"  {name:<26}", subsequent_indent=" " * 28, break_on_hyphens=False)


def _source(source: FirmwareSource) -> str:
    if isinstance(source, DebianFirmware):
        part = f" ({source.component})" if source.component != "main" else ""
        return f"Debian's {source.package}{part}, {source.folder}: {source.reason}"
    settings = "".join(f"; {setting.line.partition('=')[0]}: {setting.reason}" for setting in source.settings)
    return f"U-Boot built from Debian's source, {source.config}: {source.reason}{settings}"


def _place(offset_bytes: int | None, on_card: str) -> str:
    places = [f"raw at {_size(offset_bytes)}"] if offset_bytes is not None else []
    return " and ".join(places + ([f"/{on_card}"] if on_card else []))


def _size(size: int) -> str:
    return f"{size // KIB} KiB" if size % KIB == 0 else f"byte {size}"
