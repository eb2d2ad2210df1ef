"""What a question and the boot before it say of a node's installs: facts for the decision, and what is remembered of it.

Works inside the transaction that answers. What follows from the facts is decided in deciding/installs.py.
"""

from dataclasses import replace

from sqlalchemy import Connection, select

from bootpilot_agent.fields import Fields
from bootpilot_agent.plan import Action
from bootpilot_server.deciding.boot_state import StateKind, ended_badly, state_of
from bootpilot_server.deciding.decision import Decision, NodeFacts
from bootpilot_server.deciding.marks import marks_of
from bootpilot_server.deciding.records import BootRecord, NodeRecord
from bootpilot_server.store import install_records, node_records, order_records
from bootpilot_server.store.schema import former_ids

# What uses up an attempt. A board that came back before its deadlines, or never said that it jumped, may have lost its power.
FAILED_ATTEMPTS = frozenset({StateKind.FAILED, StateKind.PAYLOAD_SILENT, StateKind.INSTALL_OVERDUE})


def with_installs(connection: Connection, facts: NodeFacts, node: NodeRecord, now: float) -> NodeFacts:
    """The facts with all that is known of the node's installs, of orders for it, and of the nodes that its marks name."""
    installs = install_records.installs_of(connection, node.id)
    former = set(connection.execute(select(former_ids.c.id).where(former_ids.c.node_id == node.id)).scalars())
    named = {mark.node_id for mark in marks_of(facts.report)} - former - {node.id}
    return replace(
        facts,
        install=installs.get(node.wanted_install),
        installs=installs,
        order=order_records.open_order(connection, node.id, now),
        former_ids=frozenset(former),
        other_nodes=frozenset(node_id for node_id in named if install_records.is_taken_id(connection, node_id)),
    )


def settle_install(connection: Connection, node: NodeRecord, before: BootRecord, now: float) -> None:
    """The node begins another boot: what the one before says of the install that it was to make, or to start."""
    plan = Fields(before.read_plan())
    if not plan.has("install_id"):
        return
    install_id, state = plan.text("install_id"), state_of(before, now)
    if plan.text("action") == Action.LOCAL:
        if ended_badly(before, now):
            install_records.count_local_failure(connection, node.id, install_id, state.text)
        elif before.handover_at is not None or before.alive_at is not None:
            install_records.clear_local_failures(connection, node.id, install_id)
    elif state.kind in FAILED_ATTEMPTS:
        install_records.count_attempt(connection, node.id, install_id, state.text)
        node_records.add_history(connection, node.id, f"install {install_id} failed: {state.text}", now, before.id)


def remember_decision(
    connection: Connection, node: NodeRecord, boot: BootRecord | None, boot_id: str, decision: Decision, now: float
) -> None:
    """`boot` is the question's own boot as it was before this question, None for its first one."""
    given = boot.read_plan().get("install_id") if boot else None
    is_taken = decision.changes.begins is not None and given != decision.changes.begins.id
    install_records.record(connection, node.id, decision.changes, now, boot_id, is_taken=is_taken)
