"""From --where to nodes, and who it is that changes something: what commands over many nodes have in common."""

import argparse
import getpass
import os
import socket
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from bootpilot_server.commands.terminal import Terminal
from bootpilot_server.config import ASK_ABOVE
from bootpilot_server.deciding.recipes import Condition
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.deciding.selection import SelectorError, parse_selector_words
from bootpilot_server.errors import OperatorError
from bootpilot_server.store import node_records

MAX_AUTHOR = 80
MAX_TOLD = 20


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


def as_it_is(connection: Connection, node: NodeRecord) -> NodeRecord:
    """The record in this transaction: since it was shown to a person, minutes may have passed. Raises OperatorError."""
    found = node_records.find_node(connection, node.id)
    if found is None:
        raise OperatorError(f"node {node.id} is gone; nothing was done", "somebody merged or forgot it meanwhile")
    return found


def node_line(node: NodeRecord) -> str:
    """One node of a list that a person is asked about."""
    return f"{node.id}  {node.name}  {one_line(node.model)}  {one_line(node.serial)}".rstrip()


def shortened(lines: Sequence[str], most: int = MAX_TOLD) -> list[str]:
    """As many as anybody reads, and how many more there are."""
    return [*lines[:most], *([f"and {len(lines) - most} more"] if len(lines) > most else [])]
