"""From --where to nodes, and who it is that changes something: what commands over many nodes have in common."""

import argparse
import getpass
import os
import socket
from collections.abc import Iterable

from bootpilot_server.commands.terminal import Terminal
from bootpilot_server.config import ASK_ABOVE
from bootpilot_server.deciding.recipes import Condition
from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.deciding.selection import SelectorError, parse_selector_words
from bootpilot_server.errors import OperatorError

MAX_AUTHOR = 80


class WordsError(OperatorError):
    """Wrong arguments, as argparse itself would have refused them had it known."""

    exit_code = 2


def read_where(words: Iterable[str]) -> tuple[Condition, ...]:
    """Raises OperatorError."""
    try:
        return parse_selector_words(words)
    except SelectorError as error:
        raise WordsError(f"--where {error}") from error


def author_of(arguments: argparse.Namespace) -> str:
    """Who types: --as, else the person behind sudo, else the user, with the machine."""
    if arguments.author:
        return one_line(str(arguments.author))[:MAX_AUTHOR]
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return one_line(f"{user}@{socket.gethostname()}")[:MAX_AUTHOR]


def is_meant(arguments: argparse.Namespace, terminal: Terminal, count: int, what: str, question: str) -> bool:
    """Whether to go on: few nodes, --yes, or a person says so. Raises OperatorError where nobody is there to ask."""
    return count <= ASK_ABOVE or arguments.yes or terminal.confirm(what, question)
