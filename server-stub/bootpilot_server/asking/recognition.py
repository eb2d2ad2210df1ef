"""Finds or makes the node that a report comes from, inside the transaction that answers it."""

import json
import uuid

from sqlalchemy import Connection

from bootpilot_agent.evidence import Grade
from bootpilot_agent.plan import Report
from bootpilot_server.config import Config
from bootpilot_server.deciding.decision import Decision
from bootpilot_server.deciding.identification import Conflict, Match, known_by, match_node
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.errors import ProblemError
from bootpilot_server.store import node_records

# A fixed, arbitrary name space: one contradiction gives one record, however often the board asks.
CONFLICTS = uuid.UUID("6f9f3c3e-6f1c-4f0e-9d39-0d1a8e0b7c11")
NAMELESS = (
    "this board shows nothing that names it: no serial number, no permanent MAC address, no serial of a disk or card; "
    "give it one in its firmware, or settle for a network adapter that has an address of its own"
)


def recognise(connection: Connection, report: Report, address: str, now: float) -> NodeRecord:
    """The node's record, brought up to date with the report."""
    if known_by(report.evidence) is Grade.NONE:
        key: list[object] = [report.arch, report.inventory.board.model, report.simulated]
        return _conflict_record(connection, report, address, now, NAMELESS, key)
    candidates = node_records.find_candidates(connection, report.evidence, simulated=report.simulated)
    match match_node(report.evidence, candidates):
        case Match(node_id=node_id):
            return node_records.save_node(connection, node_id, report, address, now)
        case Conflict(because=because):
            key = [*sorted([piece.kind.value, piece.value] for piece in report.evidence if piece.grade > Grade.NONE)]
            return _conflict_record(connection, report, address, now, f"the evidence fits nobody whole: {because}", key)
    node = node_records.save_node(connection, str(uuid.uuid4()), report, address, now)
    node_records.add_history(connection, node.id, f"first seen, from {address}", now, report.boot_id)
    return node


def _conflict_record(connection: Connection, report: Report, address: str, now: float, because: str, key: object) -> NodeRecord:
    """A record that shows the contradiction to a person. It is never matched, and the same contradiction finds it again."""
    node_id = str(uuid.uuid5(CONFLICTS, json.dumps([report.simulated, key])))
    return node_records.save_node(connection, node_id, report, address, now, conflict=because)


def refuse_crowd(connection: Connection, node: NodeRecord, decision: Decision, config: Config) -> None:
    """A new board among too many that nobody approved. Those that wait never shut out one that a rule lets in, nor the other
    way round. Raises ProblemError 429, which undoes the record.
    """
    if node.current_boot is not None or node.approved_at is not None:
        return
    most = config.max_admitted_nodes if decision.profile else config.max_waiting_nodes
    # Of the two counts only the second takes long, and it is needed only where the first is high.
    if node_records.count_unapproved(connection) <= most:
        return
    admitted = node_records.count_admitted(connection)
    if decision.profile and admitted >= most:
        detail = f"{most} boards that nobody approved were let in by rules: approve or forget some, or raise max_admitted_nodes"
        raise ProblemError(429, detail, retry_after_s=300)
    if not decision.profile and node_records.count_unapproved(connection) - admitted > most:
        detail = f"{most} unapproved boards are on record: approve or forget some, or raise max_waiting_nodes"
        raise ProblemError(429, detail, retry_after_s=300)
