"""Finds or makes the node that a report comes from, inside the transaction that answers it."""

import json
import uuid
from collections.abc import Iterable

from sqlalchemy import Connection

from bootpilot_agent.evidence import Evidence, Grade
from bootpilot_agent.plan import Report
from bootpilot_server.asking.merging import absorb
from bootpilot_server.deciding.identification import Conflict, Match, known_by, match_node
from bootpilot_server.deciding.marks import claimed_node
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.store import evidence_records, install_records, node_records

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
        return node_records.save_node(connection, _record_id(report.simulated, key), report, address, now, NAMELESS)
    candidates = evidence_records.find_candidates(connection, report.evidence, simulated=report.simulated)
    record_id = conflict_id(report.evidence, simulated=report.simulated)
    match match_node(report.evidence, candidates):
        case Match(node_id=node_id):
            node = node_records.save_node(connection, node_id, report, address, now)
        case Conflict(node_ids=node_ids, because=because):
            text = f"the evidence fits nobody whole: {because}"
            return node_records.save_node(connection, record_id, report, address, now, text, node_ids)
        case _:
            node = _new_node(connection, report, address, now)
    return _without_contradiction(connection, node, record_id, now)


def _new_node(connection: Connection, report: Report, address: str, now: float) -> NodeRecord:
    """A board that nobody knows. One whose disk carries its own mark has the id back that it had when it was installed."""
    mark = claimed_node(report)
    former = mark.node_id if mark is not None and not install_records.is_taken_id(connection, mark.node_id) else ""
    node = node_records.save_node(connection, former or str(uuid.uuid4()), report, address, now)
    whence = ", with the id in its disk's mark" if former else ""
    node_records.add_history(connection, node.id, f"first seen, from {address}{whence}", now, report.boot_id)
    return node


def conflict_id(evidence: Iterable[Evidence], *, simulated: bool) -> str:
    """The id of the record that stands for a contradiction in this evidence."""
    return _record_id(simulated, sorted([piece.kind.value, piece.value] for piece in evidence if piece.grade > Grade.NONE))


def _without_contradiction(connection: Connection, node: NodeRecord, record_id: str, now: float) -> NodeRecord:
    """What stood for a contradiction of this very evidence goes: its boots are the node's."""
    record = node_records.find_node(connection, record_id)
    if record is None or not record.conflict:
        return node
    absorb(connection, record, node, "the contradiction is gone", now)
    return node_records.find_node(connection, node.id) or node


def _record_id(simulated: bool, key: object) -> str:
    return str(uuid.uuid5(CONFLICTS, json.dumps([simulated, key])))
