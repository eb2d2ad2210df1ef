"""Nodes and their evidence in the database. Every function works inside the transaction of the connection it is given."""

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, Connection, Row, RowMapping, and_, func, or_, select, tuple_, update

from bootpilot_agent.evidence import Evidence, EvidenceKind, Grade, best_serial, grade_evidence
from bootpilot_agent.plan import Report
from bootpilot_server.deciding.identification import KnownNode
from bootpilot_server.deciding.records import NodeRecord, report_text
from bootpilot_server.store.dialect import insert_or_update
from bootpilot_server.store.schema import boots, evidence, history, nodes

MAX_HISTORY = 500
# Twice what one report may hold: random addresses and parts that come and go leave nothing for ever.
MAX_EVIDENCE = 256
# Shorter beginnings of an id are more likely a slip of the fingers, or an empty variable in a script.
MIN_BEGINNING = 4


def find_node(connection: Connection, node_id: str) -> NodeRecord | None:
    row = connection.execute(select(nodes).where(nodes.c.id == node_id)).mappings().one_or_none()
    return _record(row) if row else None


def list_nodes(connection: Connection, *, limit: int, offset: int = 0) -> list[NodeRecord]:
    """Last seen first."""
    order = (nodes.c.last_seen_at.desc(), nodes.c.id)
    return [_record(row) for row in connection.execute(select(nodes).order_by(*order).limit(limit).offset(offset)).mappings()]


def count_nodes(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(nodes)).scalar_one()


def count_by_build(connection: Connection) -> dict[str, int]:
    """How many nodes ran each loader when they asked last, by its build."""
    query = select(boots.c.build_id, func.count()).join(nodes, nodes.c.current_boot == boots.c.id).group_by(boots.c.build_id)
    return {str(build): int(count) for build, count in connection.execute(query)}


def count_unapproved(connection: Connection) -> int:
    """Nodes that nobody approved by name, whether or not a rule lets them in."""
    return connection.execute(select(func.count()).select_from(nodes).where(nodes.c.approved_at.is_(None))).scalar_one()


def count_admitted(connection: Connection) -> int:
    """Those among them whose current boot was given a profile."""
    query = select(func.count()).select_from(nodes.join(boots, boots.c.id == nodes.c.current_boot))
    return connection.execute(query.where(nodes.c.approved_at.is_(None), boots.c.profile != "")).scalar_one()


def search_nodes(connection: Connection, text: str, limit: int = 20) -> list[NodeRecord]:
    """Nodes that a person may mean: an id or its beginning (of 4 characters or more), or any whole piece of evidence."""
    named = select(evidence.c.node_id).where(func.lower(evidence.c.value) == text.lower())
    meant: list[ColumnElement[bool]] = [nodes.c.id.in_(named)]
    if len(text) >= MIN_BEGINNING:
        meant.append(nodes.c.id.startswith(text.lower(), autoescape=True))
    query = select(nodes).where(or_(*meant)).order_by(nodes.c.id).limit(limit)
    return [_record(row) for row in connection.execute(query).mappings()]


def find_candidates(connection: Connection, shown: Iterable[Evidence], *, simulated: bool) -> list[KnownNode]:
    """Every node that shares a piece of evidence with the report: no other can match or contradict it."""
    pieces = [(piece.kind.value, piece.value) for piece in shown if piece.grade > Grade.NONE]
    if not pieces:
        return []
    shares = or_(*(and_(evidence.c.kind == kind, evidence.c.value == value) for kind, value in pieces))
    query = (
        select(evidence.c.node_id).join(nodes).where(shares, nodes.c.simulated == simulated, nodes.c.conflict == "").distinct()
    )
    return [
        KnownNode(node_id, frozenset(list_evidence(connection, node_id))) for node_id in connection.execute(query).scalars()
    ]


def list_evidence(connection: Connection, node_id: str) -> list[Evidence]:
    """Best first. A placeholder that this version knows and an older one did not has lost its grade."""
    order = (evidence.c.grade.desc(), evidence.c.kind, evidence.c.value)
    rows = connection.execute(select(evidence).where(evidence.c.node_id == node_id).order_by(*order))
    pieces = []
    for row in rows:
        today = grade_evidence(EvidenceKind(row.kind), row.value, row.source)
        pieces.append(Evidence(today.kind, today.value, today.source, min(today.grade, Grade(row.grade))))
    return pieces


def save_node(connection: Connection, node_id: str, report: Report, address: str, now: float, conflict: str = "") -> NodeRecord:
    """Make the node or bring it up to date, and add what it shows to its evidence."""
    serial = best_serial(report.evidence)
    seen = {
        "last_seen_at": now,
        "address": address,
        "report": report_text(report),
        "model": report.inventory.board.model,
        "serial": serial.value if serial else "",
        "conflict": conflict,
    }
    fresh = {"id": node_id, "created_at": now, "simulated": report.simulated, **seen}
    insert_or_update(connection, nodes, fresh, seen)
    for piece in report.evidence:
        values = {"grade": piece.grade.value, "source": piece.source, "last_seen_at": now}
        key = {"node_id": node_id, "kind": piece.kind.value, "value": piece.value}
        insert_or_update(connection, evidence, {**key, **values, "first_seen_at": now}, values)
    _forget_evidence(connection, node_id)
    return _record(connection.execute(select(nodes).where(nodes.c.id == node_id)).mappings().one())


def _forget_evidence(connection: Connection, node_id: str) -> None:
    """Keep the best, and of equal ones those seen last."""
    own, key = evidence.c.node_id == node_id, (evidence.c.kind, evidence.c.value)
    order = (evidence.c.grade.desc(), evidence.c.last_seen_at.desc(), *key)
    kept = select(*key).where(own).order_by(*order).limit(MAX_EVIDENCE)
    connection.execute(evidence.delete().where(own, tuple_(*key).not_in(kept)))


def approve_node(connection: Connection, node_id: str, now: float) -> None:
    connection.execute(update(nodes).where(nodes.c.id == node_id).values(approved_at=now))
    add_history(connection, node_id, "approved by name", now)


def forget_node(connection: Connection, node_id: str) -> None:
    """The node and all that is known of it. What it was told to boot stays among the artifacts."""
    connection.execute(nodes.delete().where(nodes.c.id == node_id))


def set_current_boot(connection: Connection, node_id: str, boot_id: str, failures: int) -> None:
    connection.execute(update(nodes).where(nodes.c.id == node_id).values(current_boot=boot_id, failures=failures))


def clear_failures(connection: Connection, node_id: str) -> None:
    connection.execute(update(nodes).where(nodes.c.id == node_id).values(failures=0))


def add_history(connection: Connection, node_id: str, text: str, now: float, boot_id: str | None = None) -> None:
    """The server's own entry. Bounded per node: the oldest go."""
    connection.execute(history.insert().values(node_id=node_id, boot_id=boot_id, at=now, text=text[:2000]))
    kept = select(history.c.id).where(history.c.node_id == node_id).order_by(history.c.id.desc()).limit(MAX_HISTORY)
    connection.execute(history.delete().where(history.c.node_id == node_id, history.c.id.not_in(kept)))


def list_history(connection: Connection, node_id: str, limit: int = 100) -> Sequence[Row[tuple[object, ...]]]:
    """Newest first; rows have at, boot_id and text."""
    query = select(history).where(history.c.node_id == node_id).order_by(history.c.id.desc()).limit(limit)
    return connection.execute(query).all()


def _record(row: RowMapping) -> NodeRecord:
    return NodeRecord(**row)
