"""What nodes show and have shown, in the database. Every function works inside the transaction of the given connection.

A piece that a node's last report lacks stays, with the moment since when (`left_at`): it may come back, and until then it still
tells other boards apart. What an operator took away, and spans that ended, stand in a history of their own.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select, tuple_, update

from bootpilot_agent.evidence import Evidence, EvidenceKind, Grade, grade_evidence
from bootpilot_agent.plan import Report
from bootpilot_server.deciding.announced import Announced, as_evidence, keys_of
from bootpilot_server.deciding.identification import KnownNode
from bootpilot_server.store.schema import evidence, evidence_history, expected_evidence, nodes, shared_evidence

# Twice what one report may hold: random addresses and parts that come and go leave nothing for ever.
MAX_EVIDENCE = 256
MAX_EVIDENCE_HISTORY = 200
# Holders of one piece that are looked at. Approved and older nodes come first, so that made-up reports crowd nobody out.
MAX_CANDIDATES = 64
# An adapter that is found late in one boot, or that was unplugged for a moment, has not left.
RETURN_S = 600.0


def without_shared(connection: Connection, report: Report) -> Report:
    """The report with what several boards share, as an operator found out, counting for nothing."""
    shared = _shared_values(connection)
    if not shared:
        return report
    pieces = (replace(piece, grade=Grade.NONE) if _key(piece) in shared else piece for piece in report.evidence)
    return replace(report, evidence=tuple(pieces))


def find_candidates(connection: Connection, shown: Iterable[Evidence], *, simulated: bool) -> list[KnownNode]:
    """Every node that shares a piece of evidence with the report: no other can match or contradict it."""
    pieces = [piece for piece in shown if piece.grade > Grade.NONE]
    found = dict.fromkeys(_holders(connection, [piece for piece in pieces if piece.grade is Grade.STRONG], simulated))
    found |= dict.fromkeys(_holders(connection, [piece for piece in pieces if piece.grade is not Grade.STRONG], simulated))
    found |= dict.fromkeys(_announced(connection, pieces) if not simulated else ())
    return known_nodes(connection, [*found], pieces)


def known_nodes(connection: Connection, node_ids: Sequence[str], shown: Iterable[Evidence] = ()) -> list[KnownNode]:
    """These nodes as they are known. What a list announced of them is read as what a board that shows `shown` would show."""
    today, former = defaultdict[str, set[Evidence]](set), defaultdict[str, set[Evidence]](set)
    shared = _shared_values(connection)
    for row in connection.execute(select(evidence).where(evidence.c.node_id.in_(node_ids))):
        piece = _piece(row, shared)
        (today if row.left_at is None else former)[row.node_id].add(piece)
    expected = defaultdict[str, set[tuple[Announced, str]]](set)
    for row in connection.execute(select(expected_evidence).where(expected_evidence.c.node_id.in_(node_ids))):
        expected[row.node_id].add((Announced(row.kind), row.value))
    pieces = list(shown)
    let_in = set(
        connection.execute(select(nodes.c.id).where(nodes.c.id.in_(node_ids), nodes.c.approved_at.isnot(None))).scalars()
    )
    return [
        KnownNode(
            node_id,
            frozenset(today[node_id]) | as_evidence(expected[node_id], pieces),
            frozenset(former[node_id]),
            node_id in let_in,
        )
        for node_id in node_ids
    ]


def list_evidence(connection: Connection, node_id: str) -> list[Evidence]:
    """Best first, what has left too. A placeholder that this version knows and an older one did not has lost its grade."""
    order = (evidence.c.grade.desc(), evidence.c.kind, evidence.c.value)
    rows = connection.execute(select(evidence).where(evidence.c.node_id == node_id).order_by(*order))
    shared = _shared_values(connection)
    return [_piece(row, shared) for row in rows] or sorted(as_evidence(list_expected(connection, node_id), ()), key=_key)


def list_spans(connection: Connection, node_id: str) -> Sequence[Row[tuple[object, ...]]]:
    """The rows of today, best first: with when and in which boot each piece was seen first and last, and `left_at`."""
    order = (evidence.c.left_at.isnot(None), evidence.c.grade.desc(), evidence.c.kind, evidence.c.value)
    return connection.execute(select(evidence).where(evidence.c.node_id == node_id).order_by(*order)).all()


def list_former(connection: Connection, node_id: str, limit: int = 50) -> Sequence[Row[tuple[object, ...]]]:
    """Spans that have ended, the last one first."""
    query = select(evidence_history).where(evidence_history.c.node_id == node_id)
    return connection.execute(query.order_by(evidence_history.c.id.desc()).limit(limit)).all()


def list_expected(connection: Connection, node_id: str) -> list[tuple[Announced, str]]:
    query = select(expected_evidence).where(expected_evidence.c.node_id == node_id).order_by(expected_evidence.c.kind.desc())
    return [(Announced(row.kind), row.value) for row in connection.execute(query)]


def save_evidence(connection: Connection, node_id: str, report: Report, now: float) -> str:
    """What a report shows, and since when the node lacks the rest. Returns what has changed, for the history; "" if nothing."""
    known = {(row.kind, row.value): row for row in connection.execute(select(evidence).where(evidence.c.node_id == node_id))}
    shown = {_key(piece): piece for piece in report.evidence}
    for key, piece in shown.items():
        _see(connection, node_id, piece, known.get(key), report.boot_id, now)
    gone = [row for key, row in known.items() if key not in shown and row.left_at is None]
    for row in gone:
        _leave(connection, row, now)
    if len(known.keys() | shown.keys()) > MAX_EVIDENCE:
        _forget_evidence(connection, node_id)
    connection.execute(expected_evidence.delete().where(expected_evidence.c.node_id == node_id))
    if not known:
        return ""
    fresh = [piece for key, piece in shown.items() if key not in known and piece.grade > Grade.NONE]
    told = [f"shows {piece.kind.value} {piece.value}" for piece in fresh]
    told += [f"no longer shows {row.kind} {row.value}" for row in gone if row.grade > Grade.NONE]
    return "; ".join(told[:8]) + (f"; and {len(told) - 8} more changes" if len(told) > 8 else "")


def take_away(connection: Connection, node_id: str, keys: Iterable[tuple[str, str]], why: str, now: float) -> None:
    """Evidence that is no longer this node's, because an operator says so: into its history."""
    for kind, value in keys:
        own = and_(evidence.c.node_id == node_id, evidence.c.kind == kind, evidence.c.value == value)
        row = connection.execute(select(evidence).where(own)).one_or_none()
        if row is not None:
            _end_span(connection, row, row.left_at or now, why)
            connection.execute(evidence.delete().where(own))


def give(connection: Connection, source_id: str, node_id: str, keys: Iterable[tuple[str, str]]) -> None:
    """Evidence of one node becomes another's, with its dates. What both have keeps the earlier first and the later last."""
    for kind, value in keys:
        row = connection.execute(select(evidence).where(*_is(source_id, kind, value))).one()
        there = connection.execute(select(evidence).where(*_is(node_id, kind, value))).one_or_none()
        if there is None:
            connection.execute(update(evidence).where(*_is(source_id, kind, value)).values(node_id=node_id))
            continue
        first, last = min(row, there, key=lambda one: one.first_seen_at), max(row, there, key=lambda one: one.last_seen_at)
        values = {"first_seen_at": first.first_seen_at, "first_boot": first.first_boot}
        values |= {"last_seen_at": last.last_seen_at, "last_boot": last.last_boot, "left_at": last.left_at}
        values["grade"] = max(row.grade, there.grade)
        connection.execute(update(evidence).where(*_is(node_id, kind, value)).values(values))
        connection.execute(evidence.delete().where(*_is(source_id, kind, value)))


def expect(connection: Connection, node_id: str, announced: Iterable[tuple[Announced, str]]) -> None:
    """By what a node that never reported is to be known, instead of what was said before."""
    connection.execute(expected_evidence.delete().where(expected_evidence.c.node_id == node_id))
    rows = [{"node_id": node_id, "kind": kind.value, "value": value} for kind, value in announced]
    if rows:
        connection.execute(expected_evidence.insert(), rows)


def share(connection: Connection, kind: str, value: str, by: str, now: float) -> None:
    """This piece counts for nobody from now on."""
    key = {"kind": kind, "value": value}
    connection.execute(shared_evidence.delete().filter_by(**key))
    connection.execute(shared_evidence.insert().values({**key, "since": now, "by": by}))


def list_shared(connection: Connection) -> Sequence[Row[tuple[object, ...]]]:
    return connection.execute(select(shared_evidence).order_by(shared_evidence.c.kind, shared_evidence.c.value)).all()


def _holders(connection: Connection, pieces: Sequence[Evidence], simulated: bool) -> list[str]:
    if not pieces:
        return []
    shares = or_(*(and_(evidence.c.kind == piece.kind.value, evidence.c.value == piece.value) for piece in pieces))
    own = select(evidence.c.node_id).where(shares)
    # By the ids, which are few. Without coalesce SQLite takes the index of conflicts, in which every node of the grid is "".
    is_node = func.coalesce(nodes.c.conflict, "") == ""
    query = select(nodes.c.id).where(nodes.c.id.in_(own), nodes.c.simulated == simulated, is_node)
    order = (nodes.c.approved_at.is_(None), nodes.c.created_at, nodes.c.id)
    return [*connection.execute(query.order_by(*order).limit(MAX_CANDIDATES)).scalars()]


def _announced(connection: Connection, pieces: Sequence[Evidence]) -> list[str]:
    keys = sorted(keys_of(pieces))
    if not keys:
        return []
    shares = or_(*(and_(expected_evidence.c.kind == kind, expected_evidence.c.value == value) for kind, value in keys))
    return [*connection.execute(select(expected_evidence.c.node_id).where(shares).distinct().limit(MAX_CANDIDATES)).scalars()]


def _see(
    connection: Connection,
    node_id: str,
    piece: Evidence,
    row: Row[tuple[object, ...]] | None,
    boot_id: str,
    now: float,
) -> None:
    seen: dict[str, object] = {
        "grade": piece.grade.value,
        "source": piece.source,
        "last_seen_at": now,
        "last_boot": boot_id,
        "left_at": None,
    }
    begun: dict[str, object] = {"first_seen_at": now, "first_boot": boot_id}
    key = {"node_id": node_id, "kind": piece.kind.value, "value": piece.value}
    if row is None:
        connection.execute(evidence.insert().values({**key, **seen, **begun}))
        return
    if row.left_at is not None and now - row.last_seen_at > RETURN_S:
        _end_span(connection, row, row.left_at, "it came back")
        seen |= begun
    connection.execute(update(evidence).where(*_is(node_id, piece.kind.value, piece.value)).values(seen))


def _leave(connection: Connection, row: Row[tuple[object, ...]], now: float) -> None:
    """A random address is another one at every boot: nobody asks for the last one."""
    own = _is(row.node_id, row.kind, row.value)
    if row.grade == Grade.NONE:
        connection.execute(evidence.delete().where(*own))
    else:
        connection.execute(update(evidence).where(*own).values(left_at=now))


def _end_span(connection: Connection, row: Row[tuple[object, ...]], left_at: float, why: str) -> None:
    columns = ("node_id", "kind", "value", "first_seen_at", "last_seen_at", "first_boot", "last_boot")
    values = {name: getattr(row, name) for name in columns}
    connection.execute(evidence_history.insert().values({**values, "left_at": left_at, "why": why}))
    own = evidence_history.c.node_id == row.node_id
    kept = select(evidence_history.c.id).where(own).order_by(evidence_history.c.id.desc()).limit(MAX_EVIDENCE_HISTORY)
    connection.execute(evidence_history.delete().where(own, evidence_history.c.id.not_in(kept)))


def _forget_evidence(connection: Connection, node_id: str) -> None:
    """Keep the best, and of equal ones those seen last."""
    own, key = evidence.c.node_id == node_id, (evidence.c.kind, evidence.c.value)
    order = (evidence.c.grade.desc(), evidence.c.last_seen_at.desc(), *key)
    kept = select(*key).where(own).order_by(*order).limit(MAX_EVIDENCE)
    connection.execute(evidence.delete().where(own, tuple_(*key).not_in(kept)))


def _shared_values(connection: Connection) -> set[tuple[str, str]]:
    return {(row.kind, row.value) for row in connection.execute(select(shared_evidence.c.kind, shared_evidence.c.value))}


def _piece(row: Row[tuple[object, ...]], shared: set[tuple[str, str]]) -> Evidence:
    today = grade_evidence(EvidenceKind(row.kind), row.value, row.source)
    grade = Grade.NONE if (row.kind, row.value) in shared else min(today.grade, Grade(row.grade))
    return replace(today, grade=grade)


def _key(piece: Evidence) -> tuple[str, str]:
    return piece.kind.value, piece.value


def _is(node_id: str, kind: str, value: str) -> tuple[ColumnElement[bool], ...]:
    return evidence.c.node_id == node_id, evidence.c.kind == kind, evidence.c.value == value
