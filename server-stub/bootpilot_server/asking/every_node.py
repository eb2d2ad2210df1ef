"""What is known of all nodes at once, for a look at what another revision would do to them: few queries, however many nodes."""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import Connection, select

from bootpilot_agent.fields import FieldError
from bootpilot_agent.plan import Report
from bootpilot_server.asking.answer import facts_about
from bootpilot_server.deciding.approval import RULE
from bootpilot_server.deciding.consequences import Consequences, consequences_of
from bootpilot_server.deciding.decision import Catalogue, LoaderTries, NodeFacts
from bootpilot_server.deciding.recipes import Revision
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.deciding.rollout_facts import Standing, Tally
from bootpilot_server.deciding.rollouts import standing_of
from bootpilot_server.server import Server
from bootpilot_server.store import boot_records, install_records, loader_records, node_records, rollout_records
from bootpilot_server.store.node_selection import each_node
from bootpilot_server.store.schema import former_ids, loader_tries, nodes

Value = TypeVar("Value")


def preview(server: Server, after: Revision) -> tuple[int, Consequences]:
    """The number of the revision in force, and what would change if `after` took its place at this moment."""
    with server.database.reading() as connection:
        before = server.revisions.in_force(connection)
        payloads = [*before.payloads().values(), *after.payloads().values()]
        stored = server.artifacts.describe({ref.sha256 for payload in payloads for ref in payload.artifacts})
        catalogue = Catalogue(stored, server.config.mirrors)
        return before.number, consequences_of(every_node(connection), before, after, catalogue, time.time())


def every_node(connection: Connection) -> Iterator[NodeFacts]:
    """Every node that has ever reported, as it would be known if it asked now with its last report, with slots for all."""
    known = _Known(connection)
    for node in each_node(connection):
        if not node.has_reported:
            continue
        try:
            report = node.read_report()
        except FieldError:
            # A report that an older program took and this one would not: the board will be asked for another.
            continue
        yield known.facts(node, report)


class _Known:
    """What is known of all nodes besides their records, each kind read at once."""

    def __init__(self, connection: Connection) -> None:
        self._tries = _by_node(
            (row.node_id, (row.build, LoaderTries(row.failures, row.offers, row.last_failure)))
            for row in connection.execute(select(loader_tries))
        )
        self._boots = boot_records.current_boots(connection)
        self._installs = install_records.installs_of_all(connection)
        self._former = _by_node((row.node_id, (row.id, True)) for row in connection.execute(select(former_ids)))
        self._ids = frozenset(connection.execute(select(nodes.c.id)).scalars())
        self._ids |= {former for each in self._former.values() for former in each}
        ways = node_records.count_by_approval(connection)
        self._admitted = {way.removeprefix(RULE): count for way, count in ways.items() if way.startswith(RULE)}
        self._standings = _standings(connection)

    def facts(self, node: NodeRecord, report: Report) -> NodeFacts:
        chain = loader_records.chain_of(report, self._boots.get(node.id), None)
        installs = self._installs.get(node.id, {})
        return replace(
            facts_about(node, report, chain, self._tries.get(node.id, {})),
            admitted=self._admitted,
            install=installs.get(node.wanted_install),
            installs=installs,
            former_ids=frozenset(self._former.get(node.id, {})),
            # Its own id, and its former ones, are looked for before these.
            other_nodes=self._ids,
            rollout=self._standings.get(node.id),
        )


def _standings(connection: Connection) -> dict[str, Standing]:
    """Of the nodes that a rollout has reached. Those that wait for their turn have what rules give them."""
    found: dict[str, Standing] = {}
    for rollout in rollout_records.list_rollouts(connection, unfinished_only=True):
        for ticket in rollout_records.list_tickets(connection, rollout.name):
            if standing := standing_of(rollout, Tally(), ticket, None):
                found.setdefault(ticket.node_id, standing)
    return found


def _by_node(items: Iterable[tuple[str, tuple[str, Value]]]) -> dict[str, dict[str, Value]]:
    found: dict[str, dict[str, Value]] = defaultdict(dict)
    for node_id, (key, value) in items:
        found[node_id][key] = value
    return found
