"""Installs of nodes in the database, inside the transaction of the given connection. What follows from them is decided in
deciding/installs.py; here is what was wanted, begun, done, failed and given up.
"""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, Row, select, update

from bootpilot_server.deciding.decision import InstallChanges
from bootpilot_server.deciding.install_facts import ADOPTED, ORDER, RULE, InstallFacts, InstallState
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.store import node_records, order_records
from bootpilot_server.store.dialect import insert_if_new
from bootpilot_server.store.schema import former_ids, installs, nodes

MAX_FAILURE_CHARS = 500
_CURRENT = select(installs).join(nodes, (nodes.c.id == installs.c.node_id) & (nodes.c.wanted_install == installs.c.install_id))


def installs_of(connection: Connection, node_id: str) -> dict[str, InstallFacts]:
    """By install id. Never pruned: an id that was done must never run again."""
    return {row.install_id: _facts(row) for row in connection.execute(select(installs).where(installs.c.node_id == node_id))}


def installs_of_all(connection: Connection) -> dict[str, dict[str, InstallFacts]]:
    """The same of every node that has any, by its id."""
    found: dict[str, dict[str, InstallFacts]] = {}
    for row in connection.execute(select(installs)):
        found.setdefault(row.node_id, {})[row.install_id] = _facts(row)
    return found


def every_current_install(connection: Connection) -> dict[str, InstallFacts]:
    """What each node is to have, or has, by the node's id; nodes without any are left out."""
    return {row.node_id: _facts(row) for row in connection.execute(_CURRENT)}


def current_installs(connection: Connection, node_ids: Iterable[str]) -> dict[str, InstallFacts]:
    """The same of these nodes, no more than a page of them."""
    query = _CURRENT.where(nodes.c.id.in_([*node_ids]))
    return {row.node_id: _facts(row) for row in connection.execute(query)}


def find_install(connection: Connection, node_id: str, install_id: str) -> InstallFacts | None:
    row = connection.execute(select(installs).where(*_key(node_id, install_id))).one_or_none()
    return _facts(row) if row else None


def is_taken_id(connection: Connection, node_id: str) -> bool:
    """Whether a node has this id, or had it before it was merged into another."""
    ids = select(nodes.c.id).where(nodes.c.id == node_id).union(select(former_ids.c.id).where(former_ids.c.id == node_id))
    return connection.execute(ids).first() is not None


def want(connection: Connection, node_id: str, install: InstallFacts, now: float, by: str = "") -> None:
    """This install is what the node is to have from now on; others that were wanted and are not done are superseded."""
    _insert(connection, node_id, install, now, by)
    _set(connection, node_id, install.id, state=InstallState.WANTED.value, profile=install.profile)
    others = (installs.c.node_id == node_id, installs.c.install_id != install.id)
    given_up = installs.c.state.in_((InstallState.WANTED.value, InstallState.FAILED.value))
    connection.execute(update(installs).where(*others, given_up).values(state=InstallState.SUPERSEDED.value))
    _make_current(connection, node_id, install.id)


def record(connection: Connection, node_id: str, changes: InstallChanges, now: float, boot_id: str, *, is_taken: bool) -> None:
    """What a decision found and began. `is_taken`: this boot had not been given the plan of that install before."""
    for found in changes.found:
        _insert(connection, node_id, found, now)
        finish(connection, node_id, found.id, now)
        node_records.add_history(connection, node_id, f"install {found.id} is done: its mark is on the disk", now, boot_id)
        _make_current_if_idle(connection, node_id, found.id)
    if changes.adopts:
        _adopt(connection, node_id, changes.adopts, now, boot_id)
    if changes.covers is not None and _insert(connection, node_id, changes.covers, now):
        _set(connection, node_id, changes.covers.id, state=InstallState.SUPERSEDED.value)
    if changes.begins is not None:
        _begin(connection, node_id, changes.begins, now, is_taken=is_taken)
    if changes.gives_up:
        _set(connection, node_id, changes.gives_up, state=InstallState.FAILED.value)
        _make_current(connection, node_id, changes.gives_up)
    if changes.spends:
        order_records.spend(connection, changes.spends, now, boot_id)


def finish(connection: Connection, node_id: str, install_id: str, now: float) -> bool:
    """It ran to its end: for ever. False if that was known, or nobody here ever wanted it."""
    undone = installs.c.state != InstallState.DONE.value
    values = {"state": InstallState.DONE.value, "done_at": now, "local_failures": 0}
    return bool(connection.execute(update(installs).where(*_key(node_id, install_id), undone).values(values)).rowcount)


def count_attempt(connection: Connection, node_id: str, install_id: str, why: str) -> None:
    """It failed, or was overdue after the jump. What is done already cannot fail any more."""
    undone = installs.c.state != InstallState.DONE.value
    values = {"attempts": installs.c.attempts + 1, "last_failure": why[:MAX_FAILURE_CHARS]}
    connection.execute(update(installs).where(*_key(node_id, install_id), undone).values(values))


def count_local_failure(connection: Connection, node_id: str, install_id: str, why: str) -> None:
    values = {"local_failures": installs.c.local_failures + 1, "last_failure": why[:MAX_FAILURE_CHARS]}
    _set(connection, node_id, install_id, **values)


def clear_local_failures(connection: Connection, node_id: str, install_id: str) -> None:
    _set(connection, node_id, install_id, local_failures=0)


def release(connection: Connection, node_id: str) -> int:
    """Whatever was given up, or did not start, is tried again from the beginning. Returns how many installs that changes."""
    own, stuck = installs.c.node_id == node_id, InstallState.FAILED.value
    afresh = {"attempts": 0, "takes": 0, "local_failures": 0}
    again = update(installs).where(own, installs.c.state == stuck).values(**afresh, state=InstallState.WANTED.value)
    changed = connection.execute(again).rowcount
    started = (installs.c.attempts > 0) | (installs.c.takes > 0) | (installs.c.local_failures > 0)
    undone = (installs.c.state == InstallState.WANTED.value) | (installs.c.local_failures > 0)
    return changed + connection.execute(update(installs).where(own, started, undone).values(**afresh)).rowcount


def follow_rules(connection: Connection, node: NodeRecord) -> InstallFacts | None:
    """The order, or automatic reinstall, that is the node's install at the moment ends: if it is not done it is wanted no
    more. What it had put aside counts again, unless a whole system is known to have been on the disk. Returns it, or None.
    """
    found = installs_of(connection, node.id)
    current = found.get(node.wanted_install)
    if current is None or not (current.origin == ORDER or current.is_automatic):
        return None
    own, aside = installs.c.node_id == node.id, installs.c.state == InstallState.SUPERSEDED.value
    if current.state is not InstallState.DONE:
        _set(connection, node.id, current.id, state=InstallState.SUPERSEDED.value)
        if not any(facts.state is InstallState.DONE for facts in found.values()):
            afresh = {"state": InstallState.WANTED.value, "attempts": 0, "takes": 0}
            by_rule = installs.c.origin.startswith(RULE, autoescape=True)
            connection.execute(update(installs).where(own, aside, by_rule).values(**afresh))
    _make_current(connection, node.id, "")
    return current


def _begin(connection: Connection, node_id: str, install: InstallFacts, now: float, *, is_taken: bool) -> None:
    want(connection, node_id, install, now)
    if is_taken:
        _set(connection, node_id, install.id, takes=installs.c.takes + 1)


def _adopt(connection: Connection, node_id: str, install_id: str, now: float, boot_id: str) -> None:
    """The disk holds a system of which this server knows nothing: nobody else's wish may touch it."""
    _insert(connection, node_id, InstallFacts(install_id, ADOPTED, "", InstallState.DONE), now)
    _set(connection, node_id, install_id, done_at=now)
    wanted = (installs.c.node_id == node_id, installs.c.state == InstallState.WANTED.value)
    aside = list(connection.execute(select(installs.c.install_id).where(*wanted)).scalars())
    connection.execute(update(installs).where(*wanted).values(state=InstallState.SUPERSEDED.value))
    _make_current(connection, node_id, install_id)
    connection.execute(update(nodes).where(nodes.c.id == node_id).values(adopted_at=now))
    text = f"adopted: its disk carries install {install_id}, which this server does not know"
    text += f"; set aside: {', '.join(aside)}" if aside else ""
    node_records.add_history(connection, node_id, text, now, boot_id)


def _insert(connection: Connection, node_id: str, install: InstallFacts, now: float, by: str = "") -> bool:
    row = {
        "node_id": node_id,
        "install_id": install.id,
        "origin": install.origin,
        "profile": install.profile,
        "wanted_at": now,
        "state": install.state.value,
        "attempts": 0,
        "takes": 0,
        "local_failures": 0,
        "last_failure": "",
        "by": by,
    }
    return insert_if_new(connection, installs, row)


def _make_current(connection: Connection, node_id: str, install_id: str) -> None:
    connection.execute(update(nodes).where(nodes.c.id == node_id).values(wanted_install=install_id))


def _make_current_if_idle(connection: Connection, node_id: str, install_id: str) -> None:
    """A late discovery never stands before something that is still wanted."""
    busy = select(installs.c.install_id).where(
        installs.c.node_id == node_id,
        installs.c.install_id == nodes.c.wanted_install,
        installs.c.state != InstallState.DONE.value,
    )
    connection.execute(update(nodes).where(nodes.c.id == node_id, ~busy.exists()).values(wanted_install=install_id))


def _set(connection: Connection, node_id: str, install_id: str, **values: object) -> None:
    connection.execute(update(installs).where(*_key(node_id, install_id)).values(**values))


def _key(node_id: str, install_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return installs.c.node_id == node_id, installs.c.install_id == install_id


def _facts(row: Row[tuple[object, ...]]) -> InstallFacts:
    return InstallFacts(
        id=row.install_id,
        origin=row.origin,
        profile=row.profile,
        state=InstallState(row.state),
        attempts=row.attempts,
        takes=row.takes,
        local_failures=row.local_failures,
        last_failure=row.last_failure,
        wanted_at=row.wanted_at,
        done_at=row.done_at,
        by=row.by,
    )
