"""`bootpilot approve`, and what operators say of nodes: `node label`, `rename` and `revoke`. All of the nodes or none."""

import argparse
import json
import time
from collections.abc import Callable, Iterable

from sqlalchemy import Connection, select

from bootpilot_server.commands.explain import find_by_text
from bootpilot_server.commands.selecting import WordsError, as_it_is, author_of, is_meant, node_line, read_where, shortened
from bootpilot_server.commands.terminal import Terminal
from bootpilot_server.deciding import naming
from bootpilot_server.deciding.approval import BY_NAME, BY_SELECTOR
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.errors import OperatorError
from bootpilot_server.server import Server, opened_server, read_config
from bootpilot_server.store import batch_records, node_records
from bootpilot_server.store.node_selection import select_nodes
from bootpilot_server.store.schema import nodes as node_table

Change = Callable[[Connection, NodeRecord], None]


def approve(arguments: argparse.Namespace, terminal: Terminal) -> int:
    if not (arguments.node or arguments.where or arguments.batch):
        raise WordsError("whom? Name nodes, or give --where or --batch", "`bootpilot node list` shows those that wait")
    if sum(map(bool, (arguments.node, arguments.where, arguments.batch))) > 1:
        raise WordsError("nodes, --where and --batch are three ways to say whom; give one of them")
    conditions = read_where(arguments.where)
    with opened_server(read_config(arguments.home), create=False) as server:
        if arguments.node:
            found = [_approvable(find_by_text(server, text)) for text in arguments.node]
        else:
            with server.database.reading() as connection:
                meant = select_nodes(connection, conditions) if conditions else _of_batch(connection, arguments.batch)
            found = [node for node in meant if node.approved_at is None and node.retired_at is None]
        now, by = time.time(), author_of(arguments)
        way = BY_NAME if arguments.node else BY_SELECTOR

        def change(connection: Connection, node: NodeRecord) -> None:
            node_records.approve_node(connection, node.id, now, way, by)

        return _for_all(server, found, change, arguments, terminal, "approve", "approved")


def node_revoke(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with opened_server(read_config(arguments.home), create=False) as server:
        found = [find_by_text(server, text) for text in arguments.node]
        now, by = time.time(), author_of(arguments)

        def change(connection: Connection, node: NodeRecord) -> None:
            node_records.change_node(
                connection, node.id, approved_at=None, approval="", approved_by="", approved_grade=0, batch=""
            )
            node_records.add_history(connection, node.id, f"approval taken back ({by})", now)

        return _for_all(server, found, change, arguments, terminal, "revoke", "revoked")


def node_label(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """KEY=VALUE sets, KEY- removes; whatever else stands before them is a node."""
    conditions = read_where(arguments.where)
    texts = [word for word in arguments.words if "=" not in word and not word.endswith("-")]
    words = [word for word in arguments.words if word not in texts]
    fresh, gone = _labels(words)
    if not (texts or conditions) or not words:
        raise WordsError("expected nodes (or --where) and labels", "bootpilot node label NODE rack=r7 old-")
    with opened_server(read_config(arguments.home), create=False) as server:
        found = [find_by_text(server, text) for text in texts]
        if conditions:
            with server.database.reading() as connection:
                found += select_nodes(connection, conditions)
        now, by = time.time(), author_of(arguments)

        def change(connection: Connection, node: NodeRecord) -> None:
            labels = {key: value for key, value in node.read_labels().items() if key not in gone} | fresh
            if len(labels) > naming.MAX_LABELS:
                raise OperatorError(f"node {node.id} would have {len(labels)} labels, {naming.MAX_LABELS} at most")
            node_records.change_node(connection, node.id, labels=json.dumps(labels, sort_keys=True))
            node_records.add_history(connection, node.id, f"labels: {' '.join(words)} ({by})", now)

        return _for_all(server, found, change, arguments, terminal, "label", "labelled")


def node_rename(arguments: argparse.Namespace, terminal: Terminal) -> int:
    try:
        name = naming.plain_name(arguments.name) if arguments.name else ""
    except ValueError as error:
        raise WordsError(f"{arguments.name!r}: {error}") from error
    with opened_server(read_config(arguments.home), create=False) as server:
        node = find_by_text(server, arguments.node)
        now, by = time.time(), author_of(arguments)

        def change(connection: Connection, node: NodeRecord) -> None:
            refuse_taken_name(connection, name, node.id)
            node_records.change_node(connection, node.id, name=name)
            node_records.add_history(
                connection, node.id, f"named {name or '(nothing)'}, before {node.name or '(nothing)'} ({by})", now
            )

        return _for_all(server, [node], change, arguments, terminal, "rename", f"named {name or '(nothing)'}:")


def refuse_taken_name(connection: Connection, name: str, node_id: str) -> None:
    """Raises OperatorError. In the writing transaction, so that of two operators one has it."""
    query = select(node_table.c.id).where(node_table.c.name == name, node_table.c.id != node_id)
    if name and (other := connection.execute(query.limit(1)).scalar()):
        raise OperatorError(f"node {other} is named {name} already")


def _for_all(
    server: Server,
    found: Iterable[NodeRecord],
    change: Change,
    arguments: argparse.Namespace,
    terminal: Terminal,
    verb: str,
    done: str,
) -> int:
    """Every node once, as it is at the moment of writing; above the threshold only if it is meant."""
    meant = {node.id: node for node in found}
    told = [node_line(node) for node in meant.values()]
    if not is_meant(arguments, terminal, len(meant), "\n".join(shortened(told)), f"{verb} {len(meant)} nodes?"):
        return 1
    with server.database.writing() as connection:
        for node in meant.values():
            change(connection, as_it_is(connection, node))
    lines = shortened([f"{done} {line}" for line in told])
    terminal.tell({done.partition(" ")[0]: [*meant]}, "\n".join(lines) if lines else f"nobody to {verb}")
    return 0


def _approvable(node: NodeRecord) -> NodeRecord:
    if node.conflict:
        hint = "`bootpilot node show` says how it is resolved: merge, split or replace"
        raise OperatorError(f"node {node.id} stands for a contradiction: {one_line(node.conflict)}", hint)
    if node.retired_at is not None:
        raise OperatorError(f"node {node.id} is retired", "`bootpilot node release` takes that back")
    return node


def _of_batch(connection: Connection, name: str) -> list[NodeRecord]:
    if batch_records.find_batch(connection, name) is None:
        raise OperatorError(f"there is no batch {name}", "`bootpilot batch list` shows all")
    query = select(node_table).where(node_table.c.batch == name, node_table.c.conflict == "").order_by(node_table.c.id)
    return [NodeRecord(**row) for row in connection.execute(query).mappings()]


def _labels(words: Iterable[str]) -> tuple[dict[str, str], set[str]]:
    fresh, gone = dict[str, str](), set[str]()
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            gone.add(word[:-1])
            continue
        try:
            naming.check_label(key, value)
        except ValueError as error:
            raise WordsError(f"{word!r}: {error}") from error
        fresh[key] = value
    return fresh, gone
