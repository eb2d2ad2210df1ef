"""The text files on a card: extlinux.conf for U-Boot, bootpilot.txt for the person who holds the card. No I/O here."""

import re
import textwrap

from bootpilot_agent.settings import CARD, SETTINGS, Settings, merge, read_card
from scripts.sdcard.boards import Board
from scripts.sdcard.errors import CardError

EXTLINUX_PATH = "extlinux/extlinux.conf"
SETTINGS_PATH = "bootpilot.txt"
KERNEL_PATH = "vmlinuz"
INITRAMFS_PATH = "initrd.img"
DTB_FOLDER = "dtbs"
COMMENT_WIDTH = 100

SETTINGS_HEADER = """\
Settings of this board's Bootpilot loader (TOML). Edit this file on any computer; the board itself never writes to the card.
A wrong setting is named on the serial console, and the others still count.
"""


def loader_command_line(board: Board, partuuid: str, extra: tuple[str, ...] = ()) -> str:
    """The loader kernel's command line: the board's arguments, the card's name, and what this one card adds."""
    console = (f"console={board.console}",) if board.console else ()
    return " ".join([*console, *(argument.text for argument in board.arguments), f"bootpilot.card=PARTUUID={partuuid}", *extra])


def extlinux_conf(board: Board, partuuid: str, extra: tuple[str, ...] = ()) -> str:
    """U-Boot's menu. File names carry no version, so that a newer loader replaces files and leaves this text alone.

    The label netboot-old is for the previous loader; its files are there once an update has been made.
    """
    command_line = loader_command_line(board, partuuid, extra)
    head = "default netboot\nprompt 0\ntimeout 10\nmenu title Bootpilot\n"
    return head + "".join(
        _label(board, name, suffix, command_line) for name, suffix in (("netboot", ""), ("netboot-old", ".old"))
    )


def _label(board: Board, name: str, suffix: str, command_line: str) -> str:
    fdt = f"    fdt /{DTB_FOLDER}{suffix}/{board.fdt}\n" if board.fdt else ""
    fdt = fdt or (f"    fdtdir /{DTB_FOLDER}{suffix}\n" if board.dtbs else "")
    return (
        f"\nlabel {name}\n    menu label Bootpilot loader{' (previous)' if suffix else ''}\n"
        f"    kernel /{KERNEL_PATH}{suffix}\n    initrd /{INITRAMFS_PATH}{suffix}\n{fdt}    append {command_line}\n"
    )


def settings_text(values: dict[str, str | list[str] | int | bool]) -> str:
    """bootpilot.txt: every setting that may stand on a card with its meaning, the given ones set, the others commented out.

    Raises CardError for a key that no card takes or a value that the agent would refuse, in the agent's own words.
    """
    known = [row for row in SETTINGS if CARD in row.where]
    unknown = [key for key in values if key not in {row.key for row in known}]
    if unknown:
        raise CardError(f"no setting of a card is called {unknown[0]!r}", "there are: " + ", ".join(row.key for row in known))
    lines = {row.key: f"{row.key} = {_toml(values[row.key])}" if row.key in values else f"#{row.key} =" for row in known}
    text = "\n".join(
        [_comment(SETTINGS_HEADER), *(f"{_comment(f'{row.doc} Default: {row.default}.')}{lines[row.key]}\n" for row in known)]
    )
    check_settings(text)
    return text


def check_settings(text: str) -> Settings:
    """Read bootpilot.txt as the agent will. Raises CardError if the agent would complain about anything in it."""
    settings, problems = merge(read_card(b""), read_card(text.encode()))
    if problems:
        raise CardError("; ".join(str(problem) for problem in problems))
    return settings


def _comment(text: str) -> str:
    lines = [line for part in text.strip().splitlines() for line in textwrap.wrap(part, COMMENT_WIDTH, break_long_words=False)]
    return "".join(f"# {line}\n" for line in lines)


def _toml(value: str | list[str] | int | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if "\n" in value:
        return '"""\n' + value.replace("\\", "\\\\").replace('"""', '\\"""') + '"""'
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda match: f"\\u{ord(match[0]):04x}", escaped) + '"'
