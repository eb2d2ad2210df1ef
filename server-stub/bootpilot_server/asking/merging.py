"""Two records of one board become one: everything that belongs to a node, table by table, in one transaction."""

import json

from sqlalchemy import Connection, Table, and_, case, func, select, update

from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.store import evidence_records, node_records
from bootpilot_server.store.schema import (
    boots,
    evidence,
    evidence_history,
    expected_evidence,
    former_ids,
    history,
    installs,
    loader_tries,
    nodes,
    orders,
    rollout_tickets,
)

# Rows that simply follow their node.
FOLLOWING = (history, evidence_history, orders, former_ids)
# Rows of which the node that stays may have one of its own with the same further key; then that one counts.
KEYED = {installs: installs.c.install_id, loader_tries: loader_tries.c.build, rollout_tickets: rollout_tickets.c.rollout}
# What an operator said of a node: the one that stays keeps its own, and gets the other's where it has none.
SAID = ("name", "static_address", "profile_override", "batch", "hold", "standing", "wanted_install")


def absorb(connection: Connection, gone: NodeRecord, kept: NodeRecord, why: str, now: float) -> None:
    """`gone` ends in `kept`: boots (with their tokens), installs, history, evidence, name, labels, approval."""
    keys = [(row.kind, row.value) for row in evidence_records.list_spans(connection, gone.id)]
    if gone.conflict:
        connection.execute(evidence.delete().where(evidence.c.node_id == gone.id))
    else:
        evidence_records.give(connection, gone.id, kept.id, keys)
    _move_boots(connection, gone.id, kept.id)
    for table in FOLLOWING:
        connection.execute(update(table).where(table.c.node_id == gone.id).values(node_id=kept.id))
    for table, key in KEYED.items():
        own = select(key).where(table.c.node_id == kept.id)
        connection.execute(update(table).where(and_(table.c.node_id == gone.id, key.not_in(own))).values(node_id=kept.id))
    connection.execute(expected_evidence.delete().where(expected_evidence.c.node_id == gone.id))
    connection.execute(nodes.delete().where(nodes.c.id == gone.id))
    node_records.change_node(connection, kept.id, **merged_values(gone, kept))
    if not gone.conflict:
        connection.execute(former_ids.insert().values(id=gone.id, node_id=kept.id, since=now))
    node_records.add_history(connection, kept.id, f"record {gone.id} ended in this one: {why}", now)


def merged_values(gone: NodeRecord, kept: NodeRecord) -> dict[str, object]:
    """The columns of the record that stays. A hold, a retirement and an adoption of either stay in force."""
    said: dict[str, object] = {name: getattr(kept, name) or getattr(gone, name) for name in SAID}
    later = max(gone, kept, key=lambda node: (node.has_reported, node.last_seen_at))
    values = said | {name: getattr(later, name) for name in ("last_seen_at", "address", "report", "model", "serial")}
    values["labels"] = json.dumps({**gone.read_labels(), **kept.read_labels()})
    values["created_at"] = min(gone.created_at, kept.created_at)
    values["retired_at"] = kept.retired_at or gone.retired_at
    values["adopted_at"] = kept.adopted_at or gone.adopted_at
    values["current_boot"] = later.current_boot or kept.current_boot or gone.current_boot
    if kept.approved_at is None and gone.approved_at is not None:
        values |= {name: getattr(gone, name) for name in ("approved_at", "approval", "approved_by", "approved_grade")}
    return values


def _move_boots(connection: Connection, source_id: str, node_id: str) -> None:
    """The token of a boot is made for the node that it began as."""
    token_node = case((func.length(boots.c.token_node) > 0, boots.c.token_node), else_=source_id)
    connection.execute(update(boots).where(boots.c.node_id == source_id).values(node_id=node_id, token_node=token_node))


def move_boot(connection: Connection, boot_id: str, source_id: str, node_id: str) -> None:
    """One boot of a node becomes another's."""
    token_node = case((func.length(boots.c.token_node) > 0, boots.c.token_node), else_=source_id)
    connection.execute(update(boots).where(boots.c.id == boot_id).values(node_id=node_id, token_node=token_node))


def tables_of_nodes() -> set[Table]:
    """Every table that is dealt with here: a test compares them with all that name a node."""
    return {*FOLLOWING, *KEYED, boots, evidence, expected_evidence}
