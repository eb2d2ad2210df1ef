"""The texts on a card for the person who holds it: bootpilot.txt, its settings, and README.txt. No I/O here."""

import re
import textwrap
from collections.abc import Mapping

from bootpilot_agent.card_settings import read_card
from bootpilot_agent.raw_settings import CARD
from bootpilot_agent.settings import SETTINGS, Settings, merge
from scripts.sdcard.board import Board
from scripts.sdcard.errors import CardError

SETTINGS_PATH = "bootpilot.txt"
README_PATH = "README.txt"
COMMENT_WIDTH = 100
DEMAND = "bootpilot.card_wants="

SETTINGS_HEADER = """\
Settings of this board's Bootpilot loader (TOML). Edit this file on any computer; the board itself never writes to the card.
A wrong setting is named on the serial console, and the others still count.
"""

README = """\
Bootpilot loader card for {title}.

bootpilot.txt   settings of this card, the only file to edit; any computer's text editor will do
manifest.json   what this card was made of: scripts/build-sdcard --verify compares
the others      firmware, kernel and initramfs of the loader; leave them alone

Console: {serial}.
"""

SettingValue = str | list[str] | int | bool


def readme_text(board: Board) -> str:
    """README.txt, with the line ends that every system's editor shows."""
    return README.format(title=board.title, serial=board.serial or "see the board's page").replace("\n", "\r\n")


def settings_text(values: Mapping[str, SettingValue]) -> str:
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


def demand_words(values: Mapping[str, SettingValue]) -> tuple[str, ...]:
    """What the settings ask of servers, for the loader's command line: a card whose bootpilot.txt is lost must not open the
    door to whomever DHCP names."""
    demand = demand_of(check_settings(settings_text(values)))
    return (demand,) if demand else ()


def demand_of(settings: Settings) -> str:
    """The word for the command line, "" where nothing is asked of servers."""
    return f"{DEMAND}ca" if settings.ca else f"{DEMAND}https" if settings.https_only else ""


def _comment(text: str) -> str:
    lines = [line for part in text.strip().splitlines() for line in textwrap.wrap(part, COMMENT_WIDTH, break_long_words=False)]
    return "".join(f"# {line}\n" for line in lines)


def _toml(value: SettingValue) -> str:
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
