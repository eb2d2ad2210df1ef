"""What the words of every command have in common: --home, --json, the way help is laid out, and which function runs.

Nothing outside Python's own library is imported here or in the neighbours that end in _arguments: `bootpilot --help` answers
where nothing is installed yet.
"""

import argparse
from pathlib import Path
from typing import TypeAlias

# argparse has no public name for what add_subparsers returns.
Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001

WHERE = "as in a rule's [match]: arch=arm64, 'label.rack = [r7, r8]', 'memory_mib >= 2048', 'not model = *Pi*'; all must hold"


def verb(verbs: Verbs, name: str, command: str, text: str, more: str = "") -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name, help=text, description=sentence(text), epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(command=command)
    # SUPPRESS: given here it wins, not given it leaves alone what stood before the command.
    add_common(parser, argparse.SUPPRESS, as_json=argparse.SUPPRESS)
    return parser


def sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def add_common(parser: argparse.ArgumentParser, home: object, *, as_json: object) -> None:
    text = "the server's folder; else BOOTPILOT_HOME, else ~/.local/share/bootpilot"
    parser.add_argument("--home", type=Path, default=home, metavar="DIR", help=text)
    parser.add_argument("--json", action="store_true", default=as_json, help="answer in JSON")


def add_where(parser: argparse.ArgumentParser, text: str, *, required: bool = False) -> None:
    parser.add_argument("--where", action="append", default=[], required=required, metavar="CONDITION", help=f"{text}; {WHERE}")


def add_deed(parser: argparse.ArgumentParser) -> None:
    """What every command that changes something takes."""
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--as", dest="author", metavar="NAME", help="who does this, for the history; else the user and machine")
