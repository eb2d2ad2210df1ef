"""How many boards may be on record that nobody approved: made-up reports end here, not on the disk.

Whoever is approved, imported, or known at all is never shut out. Works inside the transaction that answers.
"""

from sqlalchemy import Connection

from bootpilot_server.config import Config
from bootpilot_server.deciding.decision import Decision
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.errors import ProblemError
from bootpilot_server.store import node_records

# A waiting board asks again within minutes. One that was silent for so long may make room, and is a new one when it comes.
SILENT_S = 2 * 3600.0
RETRY_AFTER_S = 300


def refuse_crowd(connection: Connection, node: NodeRecord, decision: Decision, config: Config, now: float) -> None:
    """A new board among too many that nobody approved. Those that wait never shut out one that a rule lets in, nor the other
    way round; silent ones make room. Raises ProblemError 429, which undoes the record.
    """
    if node.current_boot is not None or node.approved_at is not None or decision.admits:
        return
    most = config.max_admitted_nodes if decision.profile else config.max_waiting_nodes
    # Of the two counts only the second takes long, and it is needed only where the first is high.
    unapproved = node_records.count_unapproved(connection)
    if unapproved <= most:
        return
    admitted = node_records.count_admitted(connection)
    if decision.profile and admitted >= most:
        detail = f"{most} boards that nobody approved were let in by rules: approve or forget some, or raise max_admitted_nodes"
        raise ProblemError(429, detail, retry_after_s=RETRY_AFTER_S)
    if not decision.profile and unapproved - admitted > most:
        if node_records.forget_silent(connection, now - SILENT_S, node.id):
            return
        detail = f"{most} unapproved boards are on record: approve or forget some, or raise max_waiting_nodes"
        raise ProblemError(429, detail, retry_after_s=RETRY_AFTER_S)
