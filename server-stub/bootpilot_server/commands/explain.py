"""`bootpilot explain NODE`: the decision that the node would get now, with the rules that lost. Changes nothing."""

import time
from dataclasses import dataclass

from bootpilot_server.asking.answer import decide_for, facts_about
from bootpilot_server.asking.enrolment import with_admissions
from bootpilot_server.asking.life_cycle import with_installs
from bootpilot_server.asking.turns import with_turn
from bootpilot_server.deciding.decision import Decision, NodeFacts
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.errors import OperatorError
from bootpilot_server.server import Server
from bootpilot_server.store import boot_records, loader_records, node_records


@dataclass(frozen=True)
class Explanation:
    """`revision` is 0 while none is in force; `facts` are what the decision was made from."""

    node: NodeRecord
    facts: NodeFacts
    revision: int
    decision: Decision


def find_by_text(server: Server, text: str) -> NodeRecord:
    """The one node that a person means by an id, the beginning of one, a serial number or a MAC. Raises OperatorError."""
    with server.database.reading() as connection:
        found = node_records.search_nodes(connection, text)
    if not found:
        raise OperatorError(
            f"no node is known as {text!r}",
            "`bootpilot node list` shows all; a name, an id, its first 4 characters or more, a serial or a MAC will do",
        )
    if len(found) > 1:
        raise OperatorError(
            f"{len(found)} nodes are known as {text}: " + ", ".join(node.id for node in found), "give more of the id"
        )
    return found[0]


def explain(server: Server, node: NodeRecord) -> Explanation:
    """With secrets redacted: what is told of it is for everybody. Raises OperatorError for a node that has never asked."""
    if not node.has_reported:
        raise OperatorError(f"node {node.id} was announced and has never asked: what it gets depends on what it shows")
    report = node.read_report()
    with server.database.reading() as connection:
        revision = server.revisions.in_force(connection)
        boot = boot_records.find_boot(connection, node.current_boot) if node.current_boot else None
        chain = loader_records.chain_of(report, boot, None)
        tries = loader_records.tries_of(connection, node.id)
        now = time.time()
        facts = with_installs(connection, facts_about(node, report, chain, tries), node, now)
        facts = with_admissions(connection, facts, revision)
        facts = with_turn(connection, facts, boot, None, server.config.max_concurrent, now, writes=False)
    decision = decide_for(server, revision, facts, now, server.secrets.at_hand().redacted())
    return Explanation(node, facts, revision.number, decision)
