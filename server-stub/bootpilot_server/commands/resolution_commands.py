"""`bootpilot node merge`, `split` and `replace`: a person says who is who, and sees first what follows from that."""

import argparse
import time
from collections.abc import Callable

from sqlalchemy import Connection

from bootpilot_agent.evidence import EvidenceKind
from bootpilot_agent.fields import Json
from bootpilot_server.asking import resolution
from bootpilot_server.asking.resolution import Resolution
from bootpilot_server.commands.explain import find_by_text
from bootpilot_server.commands.rehearsal import carry_out, rehearse
from bootpilot_server.commands.selecting import WordsError, as_it_is, author_of
from bootpilot_server.commands.terminal import Terminal
from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.server import Server, opened_server, read_config

Deed = Callable[[Connection], Resolution]


def node_merge(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with opened_server(read_config(arguments.home), create=False) as server:
        kept, gone = find_by_text(server, arguments.kept), find_by_text(server, arguments.gone)
        by, now = author_of(arguments), time.time()

        def deed(connection: Connection) -> Resolution:
            return resolution.merge(connection, as_it_is(connection, kept), as_it_is(connection, gone), by, now)

        return _resolve(server, deed, arguments, terminal)


def node_split(arguments: argparse.Namespace, terminal: Terminal) -> int:
    keys, shared = [_key(word) for word in arguments.evidence], [_key(word) for word in arguments.shared]
    with opened_server(read_config(arguments.home), create=False) as server:
        node = find_by_text(server, arguments.node)
        by, now = author_of(arguments), time.time()

        def deed(connection: Connection) -> Resolution:
            return resolution.split(connection, as_it_is(connection, node), keys, shared, by, now)

        return _resolve(server, deed, arguments, terminal)


def node_replace(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with opened_server(read_config(arguments.home), create=False) as server:
        old, new = find_by_text(server, arguments.old), find_by_text(server, arguments.new)
        by, now = author_of(arguments), time.time()

        def deed(connection: Connection) -> Resolution:
            return resolution.replace_board(connection, as_it_is(connection, old), as_it_is(connection, new), by, now)

        return _resolve(server, deed, arguments, terminal)


def _resolve(server: Server, deed: Deed, arguments: argparse.Namespace, terminal: Terminal) -> int:
    shown = rehearse(server.database, deed)
    if arguments.dry_run:
        _tell(terminal, shown, changed=False)
        return 0
    if not arguments.yes and not terminal.confirm(_text(shown), "do this?"):
        return 1
    _tell(terminal, carry_out(server.database, deed, shown, lambda found: len(found.lines)), changed=True)
    return 0


def _text(found: Resolution) -> str:
    undo = f"to undo it: {one_line(found.undo)}" if found.undo else "this cannot be undone"
    return "\n".join([*(one_line(line) for line in found.lines), undo])


def _tell(terminal: Terminal, found: Resolution, *, changed: bool) -> None:
    data: dict[str, Json] = {"changed": changed, "node_id": found.node_id, "lines": [*found.lines], "undo": found.undo}
    terminal.tell(data, _text(found))


def _key(word: str) -> tuple[str, str]:
    kind, equals, value = word.partition("=")
    kinds = [known.value for known in EvidenceKind]
    if not equals or not value or kind.strip() not in kinds:
        raise WordsError(f"expected KIND=VALUE, got {word!r}", "KIND is one of " + ", ".join(kinds))
    return kind.strip(), value.strip()
