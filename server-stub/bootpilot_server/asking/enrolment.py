"""Letting boards in without a person for each: by the secret of a batch on their cards, or by a rule that counts.

Works inside the one writing transaction that answers, so a limit holds however many boards ask at once.
"""

import hashlib
import hmac
from dataclasses import replace

from sqlalchemy import Connection

from bootpilot_agent.plan import Report
from bootpilot_server.deciding.approval import BATCH, RULE, is_counted
from bootpilot_server.deciding.decision import NodeFacts
from bootpilot_server.deciding.recipes import Revision
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.store import batch_records, node_records
from bootpilot_server.store.batch_records import BatchRecord

# So many different wrong secrets from one address within the window, and none from there is looked at until it is over.
MAX_WRONG = 10
WINDOW_S = 600.0


def enrol(connection: Connection, node: NodeRecord, report: Report, address: str, now: float) -> NodeRecord:
    """The node, approved if its card has a batch's secret and the batch has room. Whatever is wrong stands in its history."""
    if not report.enrol or node.conflict:
        return node
    name, _, secret = report.enrol.partition(":")
    if node.approved_at is not None and node.batch == name:
        return node
    batch = _right_batch(connection, name, secret, address, now)
    if isinstance(batch, str):
        node_records.note_once(connection, node.id, batch, now, report.boot_id)
        return node
    if node.batch != name:
        node_records.change_node(connection, node.id, batch=name)
    if node.approved_at is None:
        _let_in(connection, node, batch, now, report.boot_id)
    return node_records.find_node(connection, node.id) or node


def with_admissions(connection: Connection, facts: NodeFacts, revision: Revision) -> NodeFacts:
    """The facts with how many boards each rule has let in so far, where that matters."""
    if facts.approved or not any(is_counted(rule) for rule in revision.rules):
        return facts
    counted = node_records.count_by_approval(connection)
    return replace(facts, admitted={way.removeprefix(RULE): n for way, n in counted.items() if way.startswith(RULE)})


def secret_digest(name: str, secret: str) -> str:
    """What is kept of a secret. It is made by the server from 160 random bits, so nobody finds it by trying digests."""
    return hashlib.sha256(f"bootpilot batch 1\0{name}\0{secret}".encode()).hexdigest()


def _right_batch(connection: Connection, name: str, secret: str, address: str, now: float) -> BatchRecord | str:
    """The batch, or what is wrong, in words that do not tell whether there is such a batch."""
    digest = secret_digest(name, secret)
    if batch_records.count_wrong(connection, address, now - WINDOW_S, digest) >= MAX_WRONG:
        return f"enrolment not looked at: {MAX_WRONG} wrong secrets came from {address} within {WINDOW_S / 60:.0f} minutes"
    batch = batch_records.find_batch(connection, name)
    if batch is None or not hmac.compare_digest(batch.secret_sha256, digest):
        batch_records.note_wrong(connection, address, digest, name, now)
        return f"enrolment refused: the card's secret is not that of a batch {name}"
    return batch


def _let_in(connection: Connection, node: NodeRecord, batch: BatchRecord, now: float, boot_id: str) -> None:
    admitted = node_records.count_by_approval(connection).get(BATCH + batch.name, 0)
    if objection := batch.objection(admitted, now):
        text = f"enrolment waits: {objection}; `bootpilot approve --batch {batch.name}` lets in those that show its secret"
        node_records.note_once(connection, node.id, text, now, boot_id)
        return
    node_records.approve_node(connection, node.id, now, BATCH + batch.name)
    if batch.profile and not node.profile_override:
        node_records.change_node(connection, node.id, profile_override=batch.profile)
