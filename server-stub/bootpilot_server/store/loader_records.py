"""What became of newer loaders on each node, in the database, inside the transaction of the given connection.

Kept by node and build: agents of the first cards say nothing of the loaders before them, so the server has to remember.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, func, or_, select, update

from bootpilot_agent.plan import Report
from bootpilot_server.deciding.boot_state import StateKind, ended_badly, jump_came_back, state_of
from bootpilot_server.deciding.decision import MAX_FAILURES, MAX_OFFERS, LoaderTries
from bootpilot_server.deciding.records import BootRecord, NodeRecord
from bootpilot_server.store import boot_records, node_records
from bootpilot_server.store.dialect import insert_if_new
from bootpilot_server.store.schema import loader_tries

WAITED = frozenset({StateKind.WAITING, StateKind.SILENT})


def tries_of(connection: Connection, node_id: str) -> Mapping[str, LoaderTries]:
    """By the loader's build."""
    rows = connection.execute(select(loader_tries).where(loader_tries.c.node_id == node_id))
    return {row.build: LoaderTries(row.failures, row.offers, row.last_failure) for row in rows}


def chain_of(report: Report, boot: BootRecord | None, before: BootRecord | None) -> tuple[str, ...]:
    """The loaders since power-on, oldest first. `boot` is the report's own boot if it is known, `before` the node's last one.

    What the report says counts; of an agent that says nothing it is what the server gave the node last.
    """
    if report.loader_builds:
        return report.loader_builds
    if boot is not None:
        return tuple(boot.read_loader_builds())
    earlier = tuple(before.read_loader_builds()) if before is not None else ()
    if before is not None and before.loader == report.build_id:
        return (*earlier, report.build_id)
    # The loader that asked last asks again, after a failure.
    return earlier if earlier[-1:] == (report.build_id,) else (report.build_id,)


def settle(connection: Connection, node: NodeRecord, before: BootRecord, report: Report, now: float) -> None:
    """A node began another boot: what that says of the loader that the boot before was told to start, or was run by."""
    if before.loader == report.build_id:
        boot_records.mark_alive(connection, before.id, now)
        # It comes up; whether it is of use on this board is seen at the end of its own boot.
        _change(connection, node.id, before.loader, offers=0)
    elif before.loader and ended_badly(before, now):
        _count_failure(connection, node, before.loader, before.failure or "it was started and did not report", now, before.id)
    chain = before.read_loader_builds()
    if len(chain) < 2:
        return
    jumped = before.handover_at is not None and not jump_came_back(before)
    if jumped or before.alive_at is not None or state_of(before, now).kind in WAITED:
        _change(connection, node.id, chain[-1], offers=0, failures=0, last_failure="")
    elif report.build_id != chain[-1]:
        why = "it reported, and the board came back without it" + (f": {before.failure}" if before.failure else "")
        _count_failure(connection, node, chain[-1], why, now, before.id)


def count_offer(connection: Connection, node_id: str, build: str) -> None:
    _ensure(connection, node_id, build)
    own = (loader_tries.c.node_id == node_id, loader_tries.c.build == build)
    connection.execute(update(loader_tries).where(*own).values(offers=loader_tries.c.offers + 1))


def count_given_up(connection: Connection) -> dict[str, int]:
    """On how many nodes each loader is not tried any more, by its build."""
    is_over = or_(loader_tries.c.failures >= MAX_FAILURES, loader_tries.c.offers >= MAX_OFFERS)
    query = select(loader_tries.c.build, func.count()).where(is_over).group_by(loader_tries.c.build)
    return {str(build): int(count) for build, count in connection.execute(query)}


def forget_tries(connection: Connection, node_id: str, now: float) -> int:
    """Every loader may be offered to this node again. Returns how many had been tried without success."""
    count = connection.execute(loader_tries.delete().where(loader_tries.c.node_id == node_id)).rowcount
    node_records.add_history(connection, node_id, "newer loaders may be tried again", now)
    return count


def _count_failure(connection: Connection, node: NodeRecord, build: str, why: str, now: float, boot_id: str) -> None:
    _ensure(connection, node.id, build)
    own = (loader_tries.c.node_id == node.id, loader_tries.c.build == build)
    values = {"failures": loader_tries.c.failures + 1, "last_failure": why[:500]}
    connection.execute(update(loader_tries).where(*own).values(values))
    node_records.add_history(connection, node.id, f"loader {build} failed: {why}", now, boot_id)


def _change(connection: Connection, node_id: str, build: str, **values: object) -> None:
    connection.execute(
        update(loader_tries).where(loader_tries.c.node_id == node_id, loader_tries.c.build == build).values(**values)
    )


def _ensure(connection: Connection, node_id: str, build: str) -> None:
    fresh = {"node_id": node_id, "build": build, "failures": 0, "offers": 0, "last_failure": ""}
    insert_if_new(connection, loader_tries, fresh)
