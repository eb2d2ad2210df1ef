"""The nodes that a selector means, found in the database inside the transaction of the given connection."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, select

from bootpilot_server.deciding.facts import Facts, facts_of, is_label
from bootpilot_server.deciding.recipes import Condition
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.deciding.selection import why_not
from bootpilot_server.store import evidence_records
from bootpilot_server.store.schema import nodes

# What stands in the record itself: a selector that asks for nothing else need not read 20 000 reports.
OWN_FACTS = frozenset({"node", "name"})


def select_nodes(connection: Connection, conditions: Sequence[Condition]) -> list[NodeRecord]:
    """In the order of their ids. No conditions mean every node; records of a contradiction are no nodes."""
    reads = any(not (condition.fact in OWN_FACTS or is_label(condition.fact)) for condition in conditions)
    every = each_node(connection)
    return [node for node in every if not why_not(conditions, record_facts(connection, node, with_report=reads))]


def each_node(connection: Connection) -> Iterator[NodeRecord]:
    query = select(nodes).where(nodes.c.conflict == "").order_by(nodes.c.id)
    for row in connection.execute(query).mappings():
        yield NodeRecord(**row)


def record_facts(connection: Connection, node: NodeRecord, *, with_report: bool = True) -> Facts:
    """The facts of a node as it reported last, or, if it never has, as it was announced."""
    report = node.read_report() if with_report and node.has_reported else None
    evidence = () if report or not with_report else evidence_records.list_evidence(connection, node.id)
    return facts_of(node.id, report, name=node.name, labels=node.read_labels(), evidence=evidence)
