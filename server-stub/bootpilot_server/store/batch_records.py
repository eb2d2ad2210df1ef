"""Batches of boards that enrol by a secret on their cards, inside the transaction of the given connection."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update

from bootpilot_server.store.dialect import insert_or_update
from bootpilot_server.store.schema import batches, wrong_enrolments

# Guesses are counted by address; more addresses than this are not a mistake in somebody's cards.
MAX_WRONG_ROWS = 2000


@dataclass(frozen=True)
class BatchRecord:
    """One batch: `max_count` boards, until `until` (Unix seconds). `profile` is what they get, "" for what rules say."""

    name: str
    secret_sha256: str
    max_count: int
    until: float
    profile: str
    created_at: float
    created_by: str
    closed_at: float | None

    def objection(self, admitted: int, now: float) -> str:
        """Why no further board is let in, "" if one is."""
        if self.closed_at is not None:
            return f"batch {self.name} is closed"
        if now >= self.until:
            return f"batch {self.name} is past its end date"
        if admitted >= self.max_count:
            return f"batch {self.name} is full: {admitted} boards"
        return ""


def find_batch(connection: Connection, name: str) -> BatchRecord | None:
    row = connection.execute(select(batches).where(batches.c.name == name)).mappings().one_or_none()
    return BatchRecord(**row) if row else None


def list_batches(connection: Connection) -> list[BatchRecord]:
    """By name."""
    return [BatchRecord(**row) for row in connection.execute(select(batches).order_by(batches.c.name)).mappings()]


def add_batch(connection: Connection, batch: BatchRecord) -> None:
    connection.execute(batches.insert().values(vars(batch)))


def close_batch(connection: Connection, name: str, now: float) -> None:
    connection.execute(update(batches).where(batches.c.name == name).values(closed_at=now))


def count_wrong(connection: Connection, address: str, since: float, besides: str) -> int:
    """Different wrong secrets from an address since a time. The same one again is a board that asks again, not a guess."""
    wrong = wrong_enrolments
    own = (wrong.c.address == address, wrong.c.last_at >= since, wrong.c.digest != besides)
    return connection.execute(select(func.count()).select_from(wrong).where(*own)).scalar_one()


def note_wrong(connection: Connection, address: str, digest: str, batch: str, now: float) -> None:
    """Bounded: the oldest go."""
    wrong = wrong_enrolments
    fresh = {"address": address, "digest": digest, "batch": batch, "times": 1, "first_at": now, "last_at": now}
    insert_or_update(connection, wrong, fresh, {"times": wrong.c.times + 1, "last_at": now})
    edge = select(wrong.c.last_at).order_by(wrong.c.last_at.desc()).offset(MAX_WRONG_ROWS).limit(1).scalar_subquery()
    connection.execute(wrong.delete().where(wrong.c.last_at <= edge))


def wrong_by_batch(connection: Connection) -> dict[str, int]:
    """How many different wrong secrets were shown for each name."""
    query = select(wrong_enrolments.c.batch, func.count()).group_by(wrong_enrolments.c.batch)
    return {str(name): int(count) for name, count in connection.execute(query)}
