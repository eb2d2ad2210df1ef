"""Nodes in the database. Every function works inside the transaction of the connection it is given."""

import json
from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, Connection, Row, RowMapping, func, or_, select, update

from bootpilot_agent.evidence import best_serial
from bootpilot_agent.plan import Report
from bootpilot_server.deciding.approval import BY_NAME
from bootpilot_server.deciding.identification import known_by
from bootpilot_server.deciding.records import NodeRecord, report_text
from bootpilot_server.store import evidence_records
from bootpilot_server.store.dialect import insert_or_update
from bootpilot_server.store.schema import boots, evidence, expected_evidence, former_ids, history, installs, nodes

MAX_HISTORY = 500
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
    """Nodes that a person may mean: an id or its beginning (of 4 characters or more), a name, or any whole piece of evidence.

    A name and an id that was merged into another count before a piece of evidence.
    """
    plain = text.lower()
    exact = or_(nodes.c.name == plain, nodes.c.id.in_(select(former_ids.c.node_id).where(former_ids.c.id == plain)))
    if plain and (named := list(connection.execute(select(nodes).where(exact).order_by(nodes.c.id)).mappings())):
        return [_record(row) for row in named]
    shown = select(evidence.c.node_id).where(func.lower(evidence.c.value) == plain, evidence.c.left_at.is_(None))
    announced = select(expected_evidence.c.node_id).where(expected_evidence.c.value == plain)
    meant: list[ColumnElement[bool]] = [nodes.c.id.in_(shown), nodes.c.id.in_(announced)]
    if len(text) >= MIN_BEGINNING:
        meant.append(nodes.c.id.startswith(text.lower(), autoescape=True))
    query = select(nodes).where(or_(*meant)).order_by(nodes.c.id).limit(limit)
    return [_record(row) for row in connection.execute(query).mappings()]


def save_node(
    connection: Connection,
    node_id: str,
    report: Report,
    address: str,
    now: float,
    conflict: str = "",
    conflict_with: Iterable[str] = (),
) -> NodeRecord:
    """Make the node or bring it up to date, and add what it shows to its evidence."""
    serial = best_serial(report.evidence)
    seen = {
        "last_seen_at": now,
        "address": address,
        "report": report_text(report),
        "model": report.inventory.board.model,
        "serial": serial.value if serial else "",
        "conflict": conflict,
        "conflict_with": json.dumps([*conflict_with]),
    }
    fresh = {"id": node_id, "created_at": now, "simulated": report.simulated, **seen}
    insert_or_update(connection, nodes, fresh, seen)
    if changed := evidence_records.save_evidence(connection, node_id, report, now):
        add_history(connection, node_id, changed, now, report.boot_id)
    return _record(connection.execute(select(nodes).where(nodes.c.id == node_id)).mappings().one())


def approve_node(connection: Connection, node_id: str, now: float, approval: str = BY_NAME, by: str = "") -> None:
    """`approval` is a word of deciding/approval.py, `by` the person or "". It covers what the node shows at the moment."""
    shown = evidence_records.known_nodes(connection, [node_id])[0].evidence
    values: dict[str, object] = {"approved_at": now, "approval": approval, "approved_by": by}
    values["approved_grade"] = known_by(shown).value
    if approval == BY_NAME:
        values["adopted_at"] = None
    connection.execute(update(nodes).where(nodes.c.id == node_id).values(values))
    how = {BY_NAME: "by name"}.get(approval, f"by {approval}")
    add_history(connection, node_id, f"approved {how}" + (f" ({by})" if by else ""), now)


def change_node(connection: Connection, node_id: str, **values: object) -> None:
    """Set columns of the node's row."""
    connection.execute(update(nodes).where(nodes.c.id == node_id).values(values))


def count_by_approval(connection: Connection) -> dict[str, int]:
    """How many nodes were approved in each way: so rules and batches know whom they have let in."""
    query = select(nodes.c.approval, func.count()).where(nodes.c.approved_at.isnot(None)).group_by(nodes.c.approval)
    return {str(approval): int(count) for approval, count in connection.execute(query)}


def forget_node(connection: Connection, node_id: str) -> None:
    """The node and all that is known of it. What it was told to boot stays among the artifacts."""
    connection.execute(nodes.delete().where(nodes.c.id == node_id))


def forget_silent(connection: Connection, since: float, spared: str, most: int = 200) -> int:
    """Forget waiting nodes that have been silent since a time: nobody approved or named them, and no rule gave them anything.

    Announced nodes are approved, so none of them is meant. Returns how many went.
    """
    given = select(boots.c.id).where(boots.c.id == nodes.c.current_boot, boots.c.profile != "")
    own = select(installs.c.node_id).where(installs.c.node_id == nodes.c.id)
    idle = select(nodes.c.id).where(
        nodes.c.approved_at.is_(None),
        nodes.c.last_seen_at < since,
        nodes.c.id != spared,
        nodes.c.name == "",
        nodes.c.labels == "{}",
        nodes.c.hold == "",
        nodes.c.adopted_at.is_(None),
        nodes.c.retired_at.is_(None),
        ~given.exists(),
        ~own.exists(),
    )
    gone = [*connection.execute(idle.order_by(nodes.c.last_seen_at).limit(most)).scalars()]
    connection.execute(nodes.delete().where(nodes.c.id.in_(gone)))
    return len(gone)


def set_current_boot(connection: Connection, node_id: str, boot_id: str, failures: int) -> None:
    connection.execute(update(nodes).where(nodes.c.id == node_id).values(current_boot=boot_id, failures=failures))


def clear_failures(connection: Connection, node_id: str) -> None:
    connection.execute(update(nodes).where(nodes.c.id == node_id).values(failures=0))


def add_history(connection: Connection, node_id: str, text: str, now: float, boot_id: str | None = None) -> None:
    """The server's own entry. Bounded per node: the oldest go."""
    connection.execute(history.insert().values(node_id=node_id, boot_id=boot_id, at=now, text=text[:2000]))
    kept = select(history.c.id).where(history.c.node_id == node_id).order_by(history.c.id.desc()).limit(MAX_HISTORY)
    connection.execute(history.delete().where(history.c.node_id == node_id, history.c.id.not_in(kept)))


def note_once(connection: Connection, node_id: str, text: str, now: float, boot_id: str) -> None:
    """The server's own entry, once for each boot: a waiting board asks again and again."""
    same = (history.c.node_id == node_id, history.c.boot_id == boot_id, history.c.text == text[:2000])
    if connection.execute(select(history.c.id).where(*same).limit(1)).first() is None:
        add_history(connection, node_id, text, now, boot_id)


def list_history(connection: Connection, node_id: str, limit: int = 100) -> Sequence[Row[tuple[object, ...]]]:
    """Newest first; rows have at, boot_id and text."""
    query = select(history).where(history.c.node_id == node_id).order_by(history.c.id.desc()).limit(limit)
    return connection.execute(query).all()


def _record(row: RowMapping) -> NodeRecord:
    return NodeRecord(**row)
