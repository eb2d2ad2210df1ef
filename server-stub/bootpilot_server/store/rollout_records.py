"""Rollouts and their tickets in the database, inside the transaction of the given connection. What follows is decided in
deciding/rollouts.py.
"""

import json
from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import Connection, Row, RowMapping, and_, case, func, select, true, update

from bootpilot_server.deciding.recipes import Condition
from bootpilot_server.deciding.rollout_facts import Rollout, RolloutState, StopAt, Tally, Ticket
from bootpilot_server.deciding.selection import parse_selector_words, to_words
from bootpilot_server.store.schema import rollout_history, rollout_tickets, rollouts

MAX_HISTORY = 500


def find_rollout(connection: Connection, name: str) -> Rollout | None:
    row = connection.execute(select(rollouts).where(rollouts.c.name == name)).mappings().one_or_none()
    return _rollout(row) if row else None


def list_rollouts(connection: Connection, *, unfinished_only: bool = False) -> list[Rollout]:
    """Oldest first."""
    query = select(rollouts).order_by(rollouts.c.created_at, rollouts.c.name)
    if unfinished_only:
        query = query.where(rollouts.c.state != RolloutState.FINISHED)
    return [_rollout(row) for row in connection.execute(query).mappings()]


def add_rollout(connection: Connection, rollout: Rollout, author: str, now: float) -> None:
    values: dict[str, object] = {
        "name": rollout.name,
        "selector": json.dumps(to_words(rollout.conditions)),
        "waves": json.dumps(rollout.waves),
        "profile": rollout.profile,
        "max_concurrent": rollout.max_concurrent,
        "stop_at": rollout.stop_at.to_text(),
        "soak_s": rollout.soak_s,
        "total": rollout.total,
        "created_at": now,
        "created_by": author,
        "checked_at": now,
    }
    connection.execute(rollouts.insert().values({**values, "state": rollout.state, "why": "", "wave": 0}))


def save_standing(connection: Connection, rollout: Rollout) -> None:
    values = {"state": rollout.state, "why": rollout.why, "wave": rollout.wave, "stop_at": rollout.stop_at.to_text()}
    connection.execute(update(rollouts).where(rollouts.c.name == rollout.name).values(values))


def checked_at(connection: Connection, name: str) -> float:
    return float(connection.execute(select(rollouts.c.checked_at).where(rollouts.c.name == name)).scalar_one())


def mark_checked(connection: Connection, name: str, now: float) -> None:
    connection.execute(update(rollouts).where(rollouts.c.name == name).values(checked_at=now))


def creation_of(connection: Connection, name: str) -> tuple[float, str]:
    """When, and by whom."""
    row = connection.execute(select(rollouts.c.created_at, rollouts.c.created_by).where(rollouts.c.name == name)).one()
    return float(row[0]), str(row[1])


def tally(connection: Connection, rollout: Rollout, now: float) -> Tally:
    """The tickets, counted by the database: there may be 20 000."""
    ticket = rollout_tickets.c
    in_wave = ticket.wave == rollout.wave
    settled = func.coalesce(ticket.well_at, ticket.failed_at)
    counted = {
        "taken": in_wave,
        "settled": and_(in_wave, settled.is_not(None)),
        "reached": true(),
        "well": ticket.well_at.is_not(None),
        "failed": ticket.failed_at.is_not(None),
        "busy": ticket.busy_until > now,
    }
    sums = [func.coalesce(func.sum(case((hit, 1), else_=0)), 0).label(name) for name, hit in counted.items()]
    last = func.coalesce(func.max(case((in_wave, settled))), 0.0).label("settled_at")
    row = connection.execute(select(*sums, last).where(ticket.rollout == rollout.name)).mappings().one()
    return Tally(**row)


def short_tally(connection: Connection, rollout: Rollout, now: float) -> Tally:
    """What is needed to let it move on or stop, without a look at every ticket: this is asked at every question."""
    ticket = rollout_tickets.c
    settled = func.coalesce(ticket.well_at, ticket.failed_at)
    own = select(func.count()).where(ticket.rollout == rollout.name)
    failed = connection.execute(own.where(ticket.failed_at.is_not(None))).scalar_one()
    busy = connection.execute(own.where(ticket.busy_until > now)).scalar_one()
    if rollout.size is None:
        return Tally(failed=failed, busy=busy)
    counts = select(func.count(), func.count(settled), func.coalesce(func.max(settled), 0.0))
    wave = connection.execute(counts.where(ticket.rollout == rollout.name, ticket.wave == rollout.wave)).one()
    return Tally(taken=wave[0], settled=wave[1], settled_at=wave[2], failed=failed, busy=busy)


def tickets_of_node(connection: Connection, node_id: str) -> dict[str, Ticket]:
    """By the rollout's name."""
    rows = connection.execute(select(rollout_tickets).where(rollout_tickets.c.node_id == node_id)).mappings()
    return {row["rollout"]: _ticket(row) for row in rows}


def list_tickets(connection: Connection, name: str, *, unsettled_only: bool = False) -> list[Ticket]:
    """In the order in which they were taken."""
    query = select(rollout_tickets).where(rollout_tickets.c.rollout == name)
    if unsettled_only:
        query = query.where(rollout_tickets.c.busy_until.is_not(None))
    order = (rollout_tickets.c.taken_at, rollout_tickets.c.node_id)
    return [_ticket(row) for row in connection.execute(query.order_by(*order)).mappings()]


def take_ticket(connection: Connection, rollout: Rollout, node_id: str, boot_id: str, former: str, now: float) -> None:
    values = {"rollout": rollout.name, "node_id": node_id, "wave": rollout.wave, "taken_at": now, "boot_id": boot_id}
    connection.execute(rollout_tickets.insert().values({**values, "former": former, "why": ""}))


def change_ticket(connection: Connection, name: str, node_id: str, **values: object) -> None:
    own = (rollout_tickets.c.rollout == name, rollout_tickets.c.node_id == node_id)
    connection.execute(update(rollout_tickets).where(*own).values(**values))


def add_history(connection: Connection, name: str, by: str, text: str, now: float) -> None:
    """Bounded: the oldest go."""
    connection.execute(rollout_history.insert().values(rollout=name, at=now, by=by, text=text[:1000]))
    own = rollout_history.c.rollout == name
    kept = select(rollout_history.c.id).where(own).order_by(rollout_history.c.id.desc()).limit(MAX_HISTORY)
    connection.execute(rollout_history.delete().where(own, rollout_history.c.id.not_in(kept)))


def list_history(connection: Connection, name: str) -> Sequence[Row[tuple[object, ...]]]:
    """Oldest first; rows have at, by and text."""
    query = select(rollout_history).where(rollout_history.c.rollout == name).order_by(rollout_history.c.id)
    return connection.execute(query).all()


def _rollout(row: RowMapping) -> Rollout:
    return Rollout(
        name=row["name"],
        conditions=_conditions(row["selector"]),
        profile=row["profile"],
        waves=tuple(json.loads(row["waves"])),
        stop_at=StopAt.from_text(row["stop_at"]),
        max_concurrent=row["max_concurrent"],
        soak_s=row["soak_s"],
        state=RolloutState(row["state"]),
        why=row["why"],
        wave=row["wave"],
        total=row["total"],
    )


@lru_cache(maxsize=256)
def _conditions(selector: str) -> tuple[Condition, ...]:
    return parse_selector_words(json.loads(selector))


def _ticket(row: RowMapping) -> Ticket:
    fields = ("rollout", "node_id", "wave", "boot_id", "busy_until", "well_at", "failed_at", "why", "former")
    return Ticket(**{name: row[name] for name in fields})
