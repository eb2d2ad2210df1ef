"""What nobody needs to keep any more: found by reading, deleted in pieces, so that no board waits for all of it.

A node, its last boot, and what an install depends on are never touched here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import ColumnElement, Connection, Table, func, select, tuple_

from bootpilot_server.store.database import Database
from bootpilot_server.store.keeping import Keep, older_than
from bootpilot_server.store.latest_installs import latest_installs
from bootpilot_server.store.schema import boots, events, history, log_chunks, nodes, questions, recordings, refusals

# One transaction deletes so many boots, or rows: some ten milliseconds in which others wait.
BATCH = 200
# What an event takes besides its data: names, numbers, and its place in the key.
EVENT_BYTES = 120


@dataclass(frozen=True)
class Prunable:
    """Boots that go, boots that lose their events or logs, and how many rows of the rest."""

    boots: tuple[str, ...]
    events: tuple[str, ...]
    logs: tuple[str, ...]
    questions: int
    history: int
    refusals: int

    def counts(self) -> dict[str, int]:
        """By what it is, in the words of the settings."""
        return {key: value if isinstance(value, int) else len(value) for key, value in asdict(self).items()}


def find_prunable(connection: Connection, keep: Keep, now: float) -> Prunable:
    """What would go now. Reads only."""
    gone = _old_boots(connection, keep, now)
    return Prunable(
        boots=tuple(gone),
        events=tuple(boot_id for boot_id in _without_events(connection, keep, now) if boot_id not in gone),
        logs=tuple(boot_id for boot_id in _without_logs(connection, keep, now) if boot_id not in gone),
        questions=_count(connection, questions, questions.c.asked_at < older_than(keep.questions_days, now)),
        history=_count(connection, history, history.c.at < older_than(keep.history_days, now)),
        refusals=_count(connection, refusals, refusals.c.last_at < older_than(keep.refusals_days, now)),
    )


def prune(database: Database, keep: Keep, now: float) -> Prunable:
    """Delete what `find_prunable` finds. Raises DatabaseUnavailableError; what was deleted until then stays so."""
    with database.reading() as connection:
        found = find_prunable(connection, keep, now)
    for some in _batches(found.boots):
        with database.writing() as connection:
            # A boot may have become its node's last one only by the deletion of a later one; then it stays.
            connection.execute(boots.delete().where(boots.c.id.in_(some), ~_is_current()))
    for table, boot_ids in ((events, found.events), (log_chunks, found.logs), (recordings, found.logs)):
        for some in _batches(boot_ids):
            with database.writing() as connection:
                connection.execute(table.delete().where(table.c.boot_id.in_(some)))
    _delete_rows(database, questions, questions.c.asked_at < older_than(keep.questions_days, now))
    _delete_rows(database, history, history.c.at < older_than(keep.history_days, now))
    _delete_rows(database, refusals, refusals.c.last_at < older_than(keep.refusals_days, now))
    return found


def _old_boots(connection: Connection, keep: Keep, now: float) -> dict[str, None]:
    place = func.row_number().over(partition_by=boots.c.node_id, order_by=(boots.c.started_at.desc(), boots.c.id))
    ranked = select(boots.c.id, boots.c.planned_at, place.label("place")).where(~_is_current()).subquery()
    # The last boot has its place too, though it is not among these.
    most = keep.boots_per_node - 1 if keep.boots_per_node else 1 << 62
    is_old = (ranked.c.planned_at < older_than(keep.boots_days, now)) | (ranked.c.place > most)
    query = (
        select(ranked.c.id)
        .where(is_old, ranked.c.id.not_in(latest_installs(keep.installs_per_node)))
        .order_by(ranked.c.planned_at)
    )
    return dict.fromkeys(connection.execute(query).scalars())


def _is_current() -> ColumnElement[bool]:
    return select(nodes.c.id).where(nodes.c.id == boots.c.node_id, nodes.c.current_boot == boots.c.id).exists()


def _is_no_late_install(keep: Keep) -> ColumnElement[bool]:
    return boots.c.id.not_in(latest_installs(keep.installs_per_node))


def _without_events(connection: Connection, keep: Keep, now: float) -> list[str]:
    has_any = select(events.c.boot_id).where(events.c.boot_id == boots.c.id).exists()
    expired = (
        boots.c.planned_at < older_than(keep.events_days, now),
        boots.c.id.not_in(latest_installs(keep.installs_per_node)),
    )
    old = select(boots.c.id).where(*expired, has_any, ~_is_current())
    found = dict.fromkeys(connection.execute(old).scalars())
    if keep.events_mib:
        size = func.sum(func.length(events.c.data) + EVENT_BYTES)
        query = select(boots.c.id, size).join(events, events.c.boot_id == boots.c.id).group_by(boots.c.id)
        room = keep.events_mib << 20
        for boot_id, count in connection.execute(query.order_by(boots.c.started_at.desc(), boots.c.id)):
            room -= int(count)
            if room < 0:
                found[boot_id] = None
    return list(found)


def _without_logs(connection: Connection, keep: Keep, now: float) -> list[str]:
    sent = select(log_chunks.c.boot_id).union(select(recordings.c.boot_id))
    expired = (boots.c.planned_at < older_than(keep.logs_days, now), _is_no_late_install(keep))
    old = select(boots.c.id).where(*expired, boots.c.id.in_(sent), ~_is_current())
    return list(connection.execute(old).scalars())


def _count(connection: Connection, table: Table, condition: ColumnElement[bool]) -> int:
    return connection.execute(select(func.count()).select_from(table).where(condition)).scalar_one()


def _delete_rows(database: Database, table: Table, condition: ColumnElement[bool]) -> None:
    """In pieces, found anew each time."""
    key = tuple_(*table.primary_key)
    while True:
        with database.writing() as connection:
            some = select(*table.primary_key).where(condition).limit(BATCH * 10)
            if not connection.execute(table.delete().where(key.in_(some))).rowcount:
                return


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]
