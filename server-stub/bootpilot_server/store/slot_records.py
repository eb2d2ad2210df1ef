"""Slots and queues in the database: who has one, who waits. Inside the transaction of the given connection, so that none is
given twice.

A slot ends with its time, by what is heard of its boot, or with the next boot of its node: nothing has to be handed back.
"""

from sqlalchemy import Connection, and_, func, or_, select, update

from bootpilot_server.deciding.boot_state import GRACE_S, MISSED_QUESTIONS
from bootpilot_server.deciding.decision import Decision
from bootpilot_server.deciding.records import BootRecord
from bootpilot_server.deciding.rollout_facts import Line
from bootpilot_server.deciding.slots import SERVER_QUEUE, held_until
from bootpilot_server.store import boot_records
from bootpilot_server.store.schema import boots


def server_line(
    connection: Connection, limit: int, node_id: str, boot: BootRecord | None, queued_at: float, now: float
) -> Line:
    """The server's own queue as this node finds it. `boot` is the question's own boot if it is known."""
    query = select(func.count()).select_from(boots).where(boots.c.slot_until > now, boots.c.node_id != node_id)
    used = connection.execute(query).scalar_one()
    holds = boot is not None and boot.slot_until is not None and boot.slot_until > now
    return Line(limit, used, count_ahead(connection, SERVER_QUEUE, node_id, queued_at, now), holds)


def count_ahead(connection: Connection, queue: str, node_id: str, queued_at: float, now: float) -> int:
    """Nodes that wait in this queue since earlier, and go on asking. Answered from an index alone: all 20 000 may wait."""
    earlier = or_(boots.c.queued_at < queued_at, and_(boots.c.queued_at == queued_at, boots.c.node_id < node_id))
    waits = (boots.c.queue == queue, boots.c.queued_at <= queued_at, boots.c.queued_until > now)
    query = select(func.count()).select_from(boots)
    return connection.execute(query.where(*waits, earlier, boots.c.node_id != node_id)).scalar_one()


def leave(connection: Connection, boot: BootRecord) -> None:
    """Its node has begun another boot: it has no slot any more, and that one takes its place in a queue over."""
    if boot.queue or boot.slot_until is not None:
        connection.execute(update(boots).where(boots.c.id == boot.id).values(queue="", queued_until=None, slot_until=None))


def queued_since(boot: BootRecord | None, before: BootRecord | None, now: float) -> float:
    """Since when a node waits: a board that was switched off and on in the meantime keeps its place."""
    last = boot or before
    still = last is not None and last.queued_until is not None and last.queued_until > now
    return last.queued_at if last is not None and still and last.queued_at is not None else now


def remember(connection: Connection, boot_id: str, decision: Decision, queued_at: float, now: float) -> None:
    """After the boot was saved with this decision's plan: it has a slot, or waits for one, or neither."""
    wait = decision.plan.wait
    is_queued = decision.queue != "" and wait is not None
    until = now + MISSED_QUESTIONS * wait.retry_after_s + GRACE_S if is_queued and wait is not None else None
    values: dict[str, object] = {
        "queue": decision.queue if is_queued else "",
        "queued_at": queued_at if is_queued else None,
        "queued_until": until,
        "slot_until": None,
        "rollout": decision.rollout,
    }
    connection.execute(update(boots).where(boots.c.id == boot_id).values(values))
    if decision.takes_slot:
        boot = boot_records.find_boot(connection, boot_id)
        _hold(connection, boot_id, held_until(boot) if boot else None)


def move_on(connection: Connection, before: BootRecord) -> None:
    """Something was heard of a boot: its slot ends now, or later or sooner than it would have. `before` is as it was."""
    if before.slot_until is None:
        return
    after = boot_records.find_boot(connection, before.id)
    _hold(connection, before.id, held_until(after) if after else None)


def _hold(connection: Connection, boot_id: str, until: float | None) -> None:
    connection.execute(update(boots).where(boots.c.id == boot_id).values(slot_until=until))
