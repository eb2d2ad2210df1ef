"""What the words of every command have in common: --home, --json, the way help is laid out, and which function runs.

Nothing outside Python's own library is imported here or in the neighbours that end in _arguments: `bootpilot --help` answers
where nothing is installed yet.
"""

import argparse
from pathlib import Path
from typing import TypeAlias

# argparse has no public name for what add_subparsers returns.
Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


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
