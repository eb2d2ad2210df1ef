"""Boards that a list names before they ask: their records are made and approved, or those of boards already known completed.

Works inside one writing transaction: the whole list counts, or nothing of it.
"""

import json
import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from bootpilot_agent.evidence import GRADES, EvidenceKind, Grade
from bootpilot_server.deciding.announced import KINDS, Announced, announced_kind
from bootpilot_server.deciding.approval import BY_LIST
from bootpilot_server.deciding.node_list import ListedNode, ListFault
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.store import evidence_records, node_records
from bootpilot_server.store.schema import evidence, expected_evidence, history, nodes

Holders = dict[tuple[Announced, str], set[str]]
Expected = dict[str, set[tuple[Announced, str]]]


@dataclass(frozen=True)
class Completion:
    """What a row changes of a node that is known: columns, by what it is expected, whether it approves it; and in words."""

    node: NodeRecord
    columns: dict[str, object]
    keys: tuple[tuple[Announced, str], ...]
    approves: bool
    told: str


@dataclass
class Announcement:
    """What a list changes: records that it makes, those that it changes, those that are as it says, and its faults."""

    fresh: list[tuple[NodeRecord, ListedNode]] = field(default_factory=list)
    completions: list[Completion] = field(default_factory=list)
    same: int = 0
    faults: list[ListFault] = field(default_factory=list)

    @property
    def made(self) -> list[str]:
        return [record.id for record, _ in self.fresh]

    @property
    def changed(self) -> list[tuple[str, str]]:
        return [(completion.node.id, completion.told) for completion in self.completions]

    @property
    def touches(self) -> int:
        return len(self.made) + len(self.changed)


def announce(
    connection: Connection, rows: Sequence[ListedNode], profiles: Collection[str], by: str, now: float
) -> Announcement:
    """The whole list, or nothing if it has faults."""
    found = look_through(connection, rows, profiles, by, now)
    if not found.faults:
        for completion in found.completions:
            _complete(connection, completion, by, now)
        if found.fresh:
            _add(connection, found.fresh, by, now)
    return found


def look_through(
    connection: Connection, rows: Sequence[ListedNode], profiles: Collection[str], by: str, now: float
) -> Announcement:
    """What the list would change. Only reads: with 20 000 rows this takes a second or more, and boards go on asking."""
    done = Announcement()
    known = {row["id"]: NodeRecord(**row) for row in connection.execute(select(nodes).where(nodes.c.conflict == "")).mappings()}
    holders, strong, expected = _holders(connection, known)
    taken = {row.line: _find(row, holders, strong, done) for row in rows}
    _refuse_profiles(rows, profiles, done)
    _refuse_taken(rows, taken, known, done)
    if done.faults:
        return done
    for row in rows:
        if node_id := taken[row.line]:
            completion = _completion(known[node_id], expected.get(node_id, set()), row)
            done.completions += [completion] if completion.told else []
            done.same += not completion.told
    done.fresh = [(_record(row, by, now), row) for row in rows if not taken[row.line]]
    return done


def _holders(connection: Connection, known: Collection[str]) -> tuple[Holders, set[str], Expected]:
    """Who has which key today, which nodes are known by a serial number, and what was announced of whom."""
    held, strong = defaultdict[tuple[Announced, str], set[str]](set), set[str]()
    expected = defaultdict[str, set[tuple[Announced, str]]](set)
    for row in connection.execute(select(evidence).where(evidence.c.left_at.is_(None), evidence.c.grade > Grade.NONE.value)):
        kind = announced_kind(EvidenceKind(row.kind))
        if kind is not None and row.node_id in known:
            held[kind, row.value.casefold()].add(row.node_id)
            strong |= {row.node_id} if row.grade == Grade.STRONG else set()
    for row in connection.execute(select(expected_evidence)):
        held[Announced(row.kind), row.value].add(row.node_id)
        expected[row.node_id].add((Announced(row.kind), row.value))
        strong |= {row.node_id} if row.kind == Announced.SERIAL else set()
    return held, strong, expected


def _find(row: ListedNode, held: Holders, strong: set[str], done: Announcement) -> str:
    """The node that the row means, "" for none yet."""
    found = {key: held.get(key, set()) for key in row.keys}
    meant = set().union(*found.values())
    if len(meant) > 1:
        told = "; ".join(f"{kind.value} {value} is {', '.join(sorted(ids))}" for (kind, value), ids in found.items() if ids)
        done.faults.append(ListFault(row.line, f"two nodes are meant: {told} (`bootpilot node merge` makes them one)"))
        return ""
    node_id = next(iter(meant), "")
    serials = [key for key in row.keys if key[0] is Announced.SERIAL]
    if node_id in strong and serials and not any(found[key] for key in serials):
        done.faults.append(ListFault(row.line, f"node {node_id} has this, and another serial number"))
    return node_id


def _refuse_profiles(rows: Sequence[ListedNode], profiles: Collection[str], done: Announcement) -> None:
    for row in rows:
        if row.profile and row.profile not in profiles:
            text = f"there is no profile {row.profile!r}; in force: {', '.join(sorted(profiles)) or 'none'}"
            done.faults.append(ListFault(row.line, text))


def _refuse_taken(rows: Sequence[ListedNode], taken: dict[int, str], known: dict[str, NodeRecord], done: Announcement) -> None:
    """Names and addresses of nodes that the list does not rename, and nodes that two rows mean."""
    lines = dict[str, int]()
    for row in rows:
        node_id = taken[row.line]
        if node_id and node_id in lines:
            done.faults.append(ListFault(row.line, f"means node {node_id}, as line {lines[node_id]} does"))
        lines.setdefault(node_id, row.line)
    by_line = {taken[row.line]: row for row in rows}
    names, addresses = dict[str, str](), dict[str, str]()
    for node in known.values():
        own_row = by_line.get(node.id)
        if name := (own_row.name if own_row and own_row.name else node.name):
            names[name] = node.id
        if address := (own_row.static_address if own_row and own_row.static_address else node.static_address):
            addresses[address.partition("/")[0]] = node.id
    for row in rows:
        own = taken[row.line]
        if row.name and names.get(row.name, own) != own:
            done.faults.append(ListFault(row.line, f"node {names[row.name]} is named {row.name} already"))
        address = row.static_address.partition("/")[0]
        if address and addresses.get(address, own) != own:
            done.faults.append(ListFault(row.line, f"node {addresses[address]} has the address {address} already"))


def _record(row: ListedNode, by: str, now: float) -> NodeRecord:
    grade = max(GRADES[KINDS[kind][0]] for kind, _ in row.keys)
    serial = next((value for kind, value in row.keys if kind is Announced.SERIAL), row.keys[0][1])
    return NodeRecord(
        id=str(uuid.uuid4()),
        created_at=now,
        last_seen_at=0.0,
        simulated=False,
        conflict="",
        approved_at=now,
        address="",
        report="",
        model="",
        serial=serial,
        current_boot=None,
        failures=0,
        name=row.name,
        labels=json.dumps(row.labels, sort_keys=True),
        static_address=row.static_address,
        profile_override=row.profile,
        approval=BY_LIST,
        approved_by=by,
        approved_grade=grade.value,
    )


def _add(connection: Connection, fresh: Sequence[tuple[NodeRecord, ListedNode]], by: str, now: float) -> None:
    """Table by table: boards that ask meanwhile wait for this transaction to end."""
    connection.execute(nodes.insert(), [vars(record) for record, _ in fresh])
    keys = [(record.id, kind, value) for record, row in fresh for kind, value in row.keys]
    expected = [{"node_id": node_id, "kind": kind.value, "value": value} for node_id, kind, value in keys]
    connection.execute(expected_evidence.insert(), expected)
    entries = []
    for record, row in fresh:
        said = ", ".join(f"{kind.value} {value}" for kind, value in row.keys)
        text = f"announced with {said}, and approved by that ({by})"
        entries.append({"node_id": record.id, "boot_id": None, "at": now, "text": text[:2000]})
    connection.execute(history.insert(), entries)


def _completion(node: NodeRecord, expected: set[tuple[Announced, str]], row: ListedNode) -> Completion:
    said: dict[str, str] = {"name": row.name, "static_address": row.static_address, "profile_override": row.profile}
    fresh: dict[str, object] = {key: value for key, value in said.items() if value and value != getattr(node, key)}
    labels = node.read_labels() | row.labels
    if labels != node.read_labels():
        fresh["labels"] = json.dumps(labels, sort_keys=True)
    told = [f"{key} {value}" for key, value in fresh.items()]
    keys = row.keys if not node.has_reported and expected != set(row.keys) else ()
    if keys:
        told.append("known by " + ", ".join(f"{kind.value} {value}" for kind, value in keys))
    if node.approved_at is None:
        told.append("approved")
    return Completion(node, fresh, keys, node.approved_at is None, "; ".join(told))


def _complete(connection: Connection, completion: Completion, by: str, now: float) -> None:
    node_id = completion.node.id
    if completion.keys:
        evidence_records.expect(connection, node_id, completion.keys)
    if completion.approves:
        node_records.approve_node(connection, node_id, now, BY_LIST, by)
    if completion.columns:
        node_records.change_node(connection, node_id, **completion.columns)
    node_records.add_history(connection, node_id, f"by a list: {completion.told} ({by})", now)
