"""`bootpilot node profile`: nodes get a profile of their own, before any rule, or lose it. All of the nodes or none."""

import argparse
import time
from collections.abc import Sequence

from bootpilot_agent.fields import Json
from bootpilot_server.commands.explain import find_by_text
from bootpilot_server.commands.selecting import WordsError, as_it_is, author_of, is_meant, node_line, read_where, shortened
from bootpilot_server.commands.terminal import Terminal
from bootpilot_server.deciding.recipes import Revision
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.errors import OperatorError
from bootpilot_server.server import opened_server, read_config
from bootpilot_server.store import node_records
from bootpilot_server.store.node_selection import select_nodes

NONE = "-"


def node_profile(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """PROFILE for all of the nodes, `-` for what rules say."""
    conditions, name = read_where(arguments.where), "" if arguments.profile == NONE else arguments.profile
    if bool(arguments.node) is bool(conditions):
        raise WordsError("whom? Name nodes or give --where, one of the two", "bootpilot node profile NODE PROFILE")
    with opened_server(read_config(arguments.home), create=False) as server:
        named = [_nameable(find_by_text(server, text)) for text in arguments.node]
        with server.database.reading() as connection:
            found = named or select_nodes(connection, conditions)
            writes_disk = _writes_disk(name, server.revisions.in_force(connection))
        meant = {node.id: node for node in found if node.profile_override != name}
        told = _told(name, [*meant.values()], len(found), writes_disk=writes_disk)
        if not is_meant(arguments, terminal, len(meant), told, "do this?"):
            return 1
        now, by = time.time(), author_of(arguments)
        with server.database.writing() as connection:
            for node in (as_it_is(connection, shown) for shown in meant.values()):
                node_records.change_node(connection, node.id, profile_override=name)
                before = node.profile_override or "(what rules say)"
                text = f"own profile {name or '(what rules say)'}, before {before} ({by})"
                node_records.add_history(connection, node.id, text, now)
    waiting: list[Json] = [node.id for node in meant.values() if name and node.approved_at is None]
    terminal.tell({"profile": name, "nodes": [*meant], "not_approved": waiting}, told)
    return 0


def _writes_disk(name: str, revision: Revision) -> bool:
    """Raises OperatorError for a profile that is not there."""
    if name and name not in revision.profiles:
        known = ", ".join(sorted(revision.profiles)) or "none"
        raise OperatorError(f"there is no profile {one_line(name)} in revision {revision.number}", f"there are: {known}")
    return bool(name) and revision.profiles[name].writes_disk


def _nameable(node: NodeRecord) -> NodeRecord:
    if node.conflict:
        raise OperatorError(
            f"node {node.id} stands for a contradiction: {one_line(node.conflict)}", "name a node that it names"
        )
    return node


def _told(name: str, meant: Sequence[NodeRecord], found: int, *, writes_disk: bool) -> str:
    what = f"given {name}" if name else "own profile taken from"
    lines = shortened([f"{what}: {node_line(node)}" for node in meant])
    if same := found - len(meant):
        lines.append(f"{same} nodes {'have it already' if name else 'have none'}")
    if writes_disk and meant:
        lines.append(f"{name} WRITES A DISK: each of them is installed once with it, at its next boot")
    waiting = sum(node.approved_at is None for node in meant)
    if name and waiting:
        lines.append(f"{waiting} of them not approved: they wait until `bootpilot approve`, also where a rule admits them")
    return "\n".join(lines) if lines else "no node is meant"
