"""`bootpilot node reinstall`, `hold` and the other orders: for all nodes that are meant, or for none."""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from bootpilot_agent.fields import Json
from bootpilot_agent.plan import Action
from bootpilot_server.asking import ordering
from bootpilot_server.asking.answer import facts_about
from bootpilot_server.commands.explain import find_by_text
from bootpilot_server.commands.selecting import MAX_TOLD, WordsError, as_it_is, author_of, is_meant, read_where, shortened
from bootpilot_server.commands.terminal import Terminal
from bootpilot_server.deciding.approval import BY_NAME, BY_SELECTOR
from bootpilot_server.deciding.decide import winning_rule
from bootpilot_server.deciding.recipes import Revision
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.errors import OperatorError
from bootpilot_server.server import Server, opened_server, read_config
from bootpilot_server.store import install_records
from bootpilot_server.store.node_selection import select_nodes

RESCUE_PROFILE = "rescue"


@dataclass(frozen=True)
class Given:
    """What is about to be ordered: in words, how it is noted for one node, and nodes that are left out, with the reason."""

    words: str
    note: Callable[[Connection, NodeRecord, float, str], str]
    left_out: dict[str, str]


Prepare = Callable[[Server, Connection, argparse.Namespace, Sequence[NodeRecord]], Given]


def order_reinstall(arguments: argparse.Namespace, terminal: Terminal) -> int:
    return _order(arguments, terminal, _prepare_reinstall)


def order_rescue(arguments: argparse.Namespace, terminal: Terminal) -> int:
    def prepare(server: Server, connection: Connection, _: object, __: object) -> Given:
        revision = server.revisions.in_force(connection)
        name = arguments.profile or RESCUE_PROFILE
        _refuse_unless(revision, name, writes_disk=False)
        return Given(f"rescue with profile {name}", lambda c, node, now, by: ordering.rescue(c, node, name, now, by), {})

    return _order(arguments, terminal, prepare)


def order_local(arguments: argparse.Namespace, terminal: Terminal) -> int:
    return _order(arguments, terminal, _always("start from the disk", ordering.start_from_disk))


def order_hold(arguments: argparse.Namespace, terminal: Terminal) -> int:
    reason = one_line(arguments.reason)[:200] or "by order"
    return _order(arguments, terminal, _always("hold", lambda c, node, now, by: ordering.hold(c, node, reason, now, by)))


def order_release(arguments: argparse.Namespace, terminal: Terminal) -> int:
    return _order(arguments, terminal, _always("release", ordering.release))


def order_follow_rules(arguments: argparse.Namespace, terminal: Terminal) -> int:
    return _order(arguments, terminal, _always("follow the rules", ordering.follow_rules))


def order_retire(arguments: argparse.Namespace, terminal: Terminal) -> int:
    return _order(arguments, terminal, _always("retire", ordering.retire))


def order_reboot(arguments: argparse.Namespace, terminal: Terminal) -> int:
    return _order(arguments, terminal, _once(Action.REBOOT))


def order_poweroff(arguments: argparse.Namespace, terminal: Terminal) -> int:
    return _order(arguments, terminal, _once(Action.POWEROFF))


def _order(arguments: argparse.Namespace, terminal: Terminal, prepare: Prepare) -> int:
    conditions = read_where(arguments.where)
    if bool(arguments.node) is bool(conditions):
        raise WordsError("whom? Name nodes or give --where, one of the two", "`bootpilot node list` shows them")
    with opened_server(read_config(arguments.home), create=False) as server:
        named = {node.id: node for node in (_orderable(find_by_text(server, text)) for text in arguments.node)}
        with server.database.reading() as connection:
            nodes = list(named.values()) or select_nodes(connection, conditions)
            given = prepare(server, connection, arguments, nodes)
        meant = [node for node in nodes if node.id not in given.left_out]
        preview = _preview(given, meant)
        if arguments.dry_run:
            _tell(terminal, given, meant, {}, preview)
            return 0
        if not is_meant(arguments, terminal, len(meant), preview, f"{given.words}: {len(meant)} nodes?"):
            return 1
        now, by = time.time(), author_of(arguments)
        with server.database.writing() as connection:
            noted = {node.id: given.note(connection, as_it_is(connection, node), now, by) or "" for node in meant}
    _tell(terminal, given, meant, noted, preview)
    return 0 if meant else 1


def _prepare_reinstall(
    server: Server, connection: Connection, arguments: argparse.Namespace, nodes: Sequence[NodeRecord]
) -> Given:
    """The profile of each node, before anything is changed. Raises OperatorError for the first that has none."""
    revision = server.revisions.in_force(connection)
    if arguments.profile:
        _refuse_unless(revision, arguments.profile, writes_disk=True)
    way = BY_NAME if arguments.node else BY_SELECTOR
    left_out = {node.id: "adopted: name it" for node in nodes if node.adopted_at is not None and way == BY_SELECTOR}
    meant = [node for node in nodes if node.id not in left_out]
    profiles = {node.id: arguments.profile or _installing_profile(connection, revision, node) for node in meant}
    kinds = ", ".join(sorted(set(profiles.values())))

    def note(connection: Connection, node: NodeRecord, now: float, by: str) -> str:
        return ordering.reinstall(connection, node, profiles[node.id], now, by, way)

    return Given(f"reinstall with profile {kinds}" if kinds else "reinstall", note, left_out)


def _installing_profile(connection: Connection, revision: Revision, node: NodeRecord) -> str:
    """What rules would install; else what the node was installed with. Raises OperatorError."""
    current = install_records.find_install(connection, node.id, node.wanted_install)
    choices = [current.profile] if current else []
    if node.has_reported and (rule := winning_rule(facts_about(node, node.read_report(), (), {}), revision)):
        choices.insert(0, rule.profile)
    for name in choices:
        if name in revision.profiles and revision.profiles[name].writes_disk:
            return name
    raise OperatorError(f"node {node.id}: no rule gives it a profile that installs", "name one with --profile")


def _refuse_unless(revision: Revision, name: str, *, writes_disk: bool) -> None:
    profile = revision.profiles.get(name)
    if profile is None:
        known = ", ".join(sorted(revision.profiles)) or "none"
        raise OperatorError(f"there is no profile {name} in revision {revision.number}", f"there are: {known}")
    if profile.writes_disk is not writes_disk:
        raise OperatorError(f"profile {name} {'writes no disk, so it installs nothing' if writes_disk else 'writes a disk'}")


def _always(words: str, deed: Callable[[Connection, NodeRecord, float, str], object]) -> Prepare:
    def note(connection: Connection, node: NodeRecord, now: float, by: str) -> str:
        deed(connection, node, now, by)
        return ""

    return lambda *_: Given(words, note, {})


def _once(action: Action) -> Prepare:
    return lambda *_: Given(action.value, lambda c, node, now, by: ordering.give_once(c, node, action, now, by), {})


def _orderable(node: NodeRecord) -> NodeRecord:
    if node.conflict:
        message = f"node {node.id} stands for a contradiction: {node.conflict}"
        raise OperatorError(message, "order for the boards that it names")
    return node


def _preview(given: Given, meant: Sequence[NodeRecord]) -> str:
    told = [f"{node.id}  {one_line(node.name or node.model)}  {one_line(node.serial)}".rstrip() for node in meant]
    lines = [f"  {line}" for line in shortened(told)]
    lines += [f"  left out: {node_id} ({why})" for node_id, why in [*given.left_out.items()][:MAX_TOLD]]
    return "\n".join([f"{given.words}: {len(meant)} nodes", *lines])


def _tell(terminal: Terminal, given: Given, meant: Sequence[NodeRecord], noted: dict[str, str], preview: str) -> None:
    nodes: list[Json] = [{"node_id": node.id, "id": noted.get(node.id) or None} for node in meant]
    data: dict[str, Json] = {"ordered": given.words, "done": bool(noted), "nodes": nodes, "left_out": {**given.left_out}}
    terminal.tell(data, preview)
