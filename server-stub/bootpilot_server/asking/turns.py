"""Rollouts and slots at the moment of a question or a call-back: what a node is told of them, and what is remembered.

Works inside the writing transaction, so that no wave gets a node too many and no slot is given twice. How far a rollout is, is
computed anew from its tickets each time: a server that was killed, at whatever moment, has nothing to repair.
"""

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Connection

from bootpilot_agent.plan import Action
from bootpilot_server.deciding.decision import Decision, NodeFacts
from bootpilot_server.deciding.facts import facts_of
from bootpilot_server.deciding.records import BootRecord
from bootpilot_server.deciding.rollout_facts import Line, Rollout, Standing, Tally, Ticket, Turn
from bootpilot_server.deciding.rollouts import Fate, advance, fate_of, queue_of, standing_of
from bootpilot_server.deciding.selection import why_not
from bootpilot_server.store import boot_records, rollout_records, slot_records

# How often the silent nodes of a rollout are looked through, when anybody asks at all.
LOOK_THROUGH_S = 10


def with_turn(
    connection: Connection,
    facts: NodeFacts,
    boot: BootRecord | None,
    before: BootRecord | None,
    limit: int,
    now: float,
    *,
    writes: bool = True,
) -> NodeFacts:
    """The facts with the node's standing in a rollout and its place in the server's queue. `limit` 0 is no bound.

    Without `writes` nothing is changed: for somebody who only wants to know.
    """
    queued_at = slot_records.queued_since(boot, before, now)
    standing = _standing(connection, facts, queued_at, now, writes=writes)
    line = slot_records.server_line(connection, limit, facts.node_id, boot, queued_at, now) if limit else None
    return replace(facts, rollout=standing, line=line)


def remember_turn(
    connection: Connection,
    facts: NodeFacts,
    boot: BootRecord | None,
    before: BootRecord | None,
    boot_id: str,
    decision: Decision,
    former: Callable[[], str],
    now: float,
) -> None:
    """After the boot was saved. `former` tells the profile that the node would have got without the rollout."""
    slot_records.remember(connection, boot_id, decision, slot_records.queued_since(boot, before, now), now)
    standing = facts.rollout
    if not decision.rollout or standing is None or standing.turn is Turn.BACK:
        return
    name = standing.rollout.name
    if standing.turn is Turn.OPEN:
        rollout_records.take_ticket(connection, standing.rollout, facts.node_id, boot_id, former(), now)
    plan = decision.plan
    values: dict[str, object] = {"boot_id": boot_id, "busy_until": None}
    if plan.action is Action.BOOT:
        values["busy_until"] = now + plan.fetch_deadline_s + plan.payload_up_deadline_s + (plan.done_deadline_s or 0)
    elif plan.action is Action.LOCAL:
        values |= {"well_at": now, "failed_at": None, "why": decision.why[0]}
    elif plan.action is Action.WAIT:
        values |= {"well_at": None, "failed_at": now, "why": decision.why[0][:500]}
    rollout_records.change_ticket(connection, name, facts.node_id, **values)
    check_rollout(connection, standing.rollout, now)


def settle_boot(connection: Connection, before: BootRecord, now: float, *, is_past: bool = False) -> None:
    """Something was heard of a boot, or (`is_past`) of its node's next one. `before` is the boot as it was."""
    if is_past:
        slot_records.leave(connection, before)
    else:
        slot_records.move_on(connection, before)
    if not before.rollout:
        return
    rollout = rollout_records.find_rollout(connection, before.rollout)
    ticket = rollout_records.tickets_of_node(connection, before.node_id).get(before.rollout)
    after = boot_records.find_boot(connection, before.id)
    if rollout is None or ticket is None or after is None or ticket.boot_id != after.id:
        return
    if _settle(connection, ticket, after, now, is_past=is_past):
        check_rollout(connection, rollout, now)


def check_rollout(connection: Connection, rollout: Rollout, now: float) -> Rollout:
    """Let it move on, or stop, as its tickets say; and say so in its history."""
    if advance(rollout, rollout_records.short_tally(connection, rollout, now), now) == rollout:
        return rollout
    moved = advance(rollout, rollout_records.tally(connection, rollout, now), now)
    rollout_records.save_standing(connection, moved)
    text = f"stopped: {moved.why}" if moved.why != rollout.why else f"wave {moved.wave + 1} of {len(moved.waves)} is open"
    rollout_records.add_history(connection, moved.name, "", text, now)
    return moved


def look_through(connection: Connection, rollout: Rollout, now: float) -> Rollout:
    """Settle those whose deadlines passed in silence, and let the rollout move on."""
    rollout_records.mark_checked(connection, rollout.name, now)
    for ticket in rollout_records.list_tickets(connection, rollout.name, unsettled_only=True):
        boot = boot_records.find_boot(connection, ticket.boot_id)
        is_settled = boot is not None and _settle(connection, ticket, boot, now)
        if not is_settled and ticket.busy_until is not None and ticket.busy_until <= now:
            why = "nothing that tells how it went was heard in time"
            overdue = {"busy_until": None, "failed_at": now, "well_at": None, "why": why}
            rollout_records.change_ticket(connection, ticket.rollout, ticket.node_id, **overdue)
    return check_rollout(connection, rollout, now)


def _settle(connection: Connection, ticket: Ticket, boot: BootRecord, now: float, *, is_past: bool = False) -> bool:
    """Whether the boot has said something that counts."""
    fate, text = fate_of(boot, now, is_past=is_past)
    if fate is Fate.UNDER_WAY:
        return False
    is_well = fate is Fate.WELL
    values = {"busy_until": None, "well_at": now if is_well else None, "failed_at": None if is_well else now, "why": text[:500]}
    if is_well and ticket.well_at is not None:
        # The soak counts from the first time.
        values["well_at"] = ticket.well_at
    rollout_records.change_ticket(connection, ticket.rollout, ticket.node_id, **values)
    return True


def _standing(connection: Connection, facts: NodeFacts, queued_at: float, now: float, *, writes: bool) -> Standing | None:
    """In the rollout that has reached the node; else in the first that means it. Nodes that nobody approved are in none."""
    active = rollout_records.list_rollouts(connection, unfinished_only=True)
    if not active or not facts.approved or facts.conflict:
        return None
    tickets = rollout_records.tickets_of_node(connection, facts.node_id)
    for rollout in active:
        if rollout.name in tickets:
            return standing_of(rollout, Tally(), tickets[rollout.name], None)
    known = facts_of(facts.node_id, facts.report, name=facts.name, labels=facts.labels)
    for rollout in active:
        if not why_not(rollout.conditions, known):
            current = _brought_up_to_date(connection, rollout, now, writes=writes)
            return _standing_without_ticket(connection, current, facts.node_id, queued_at, now)
    return None


def _brought_up_to_date(connection: Connection, rollout: Rollout, now: float, *, writes: bool) -> Rollout:
    if not writes:
        return advance(rollout, rollout_records.short_tally(connection, rollout, now), now)
    since = now - rollout_records.checked_at(connection, rollout.name)
    # Below 0: the clock was set back.
    if not 0 <= since < LOOK_THROUGH_S:
        return look_through(connection, rollout, now)
    return check_rollout(connection, rollout, now)


def _standing_without_ticket(
    connection: Connection, rollout: Rollout, node_id: str, queued_at: float, now: float
) -> Standing | None:
    tally = rollout_records.short_tally(connection, rollout, now)
    line = None
    if rollout.max_concurrent:
        ahead = slot_records.count_ahead(connection, queue_of(rollout.name), node_id, queued_at, now)
        line = Line(rollout.max_concurrent, tally.busy, ahead)
    return standing_of(rollout, tally, None, line)
