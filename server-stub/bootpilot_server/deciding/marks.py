"""What the marks on a node's disks say: whose system it is. No I/O here.

A mark on the card does not count: no system of ours is ever put there.
"""

from bootpilot_agent.mark import Mark
from bootpilot_agent.plan import Report
from bootpilot_server.deciding.decision import NodeFacts


def marks_of(report: Report) -> tuple[Mark, ...]:
    """In the order of the disks."""
    return tuple(disk.mark for disk in report.inventory.disks if disk.mark is not None and not disk.boot_medium)


def claimed_node(report: Report) -> Mark | None:
    """The mark by which a board that nobody knows says who it was: one that carries evidence which the board shows itself."""
    return next((mark for mark in marks_of(report) if mark.names(report.evidence)), None)


def own_marks(node: NodeFacts) -> tuple[Mark, ...]:
    return tuple(mark for mark in marks_of(node.report) if _is_own(mark, node))


def foreign_mark(node: NodeFacts) -> Mark | None:
    """The first mark that is another board's, None if there is none."""
    return next((mark for mark in marks_of(node.report) if not _is_own(mark, node)), None)


def _is_own(mark: Mark, node: NodeFacts) -> bool:
    """By its node id, or because it names this board's own evidence and a node that is on record no more."""
    if mark.node_id == node.node_id or mark.node_id in node.former_ids:
        return True
    return mark.node_id not in node.other_nodes and mark.names(node.report.evidence)
