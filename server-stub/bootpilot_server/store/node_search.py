"""Nodes for a page, by what they are doing and by text: never more read than a page needs. Inside the given transaction."""

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from bootpilot_server.deciding.boot_state import StateKind, state_of
from bootpilot_server.deciding.records import BootRecord, NodeRecord
from bootpilot_server.store import boot_records
from bootpilot_server.store.schema import boots, evidence, expected_evidence, nodes

# What a node is, besides what its boot is doing.
CONFLICT, UNAPPROVED, ANNOUNCED, HELD = "conflict", "not approved", "announced", "on hold"
STANDINGS: dict[str, ColumnElement[bool]] = {
    UNAPPROVED: and_(nodes.c.approved_at.is_(None), nodes.c.conflict == ""),
    CONFLICT: nodes.c.conflict != "",
    ANNOUNCED: nodes.c.report == "",
    HELD: nodes.c.hold != "",
}
STATES = (*STANDINGS, *(kind.value for kind in StateKind))
# What the row of a boot tells at once: all boots in a state fulfil this, and few others. The rest is reckoned.
_NARROWED: dict[StateKind, ColumnElement[bool]] = {
    StateKind.WAITING: boots.c.profile == "",
    StateKind.SILENT: boots.c.profile == "",
    StateKind.FAILED: boots.c.failed_at.isnot(None),
    StateKind.PAYLOAD_UP: boots.c.alive_at.isnot(None),
    StateKind.LOADER_UP: boots.c.alive_at.isnot(None),
    StateKind.HANDOVER: boots.c.handover_at.isnot(None),
    StateKind.PAYLOAD_SILENT: boots.c.handover_at.isnot(None),
    StateKind.PLANNED: boots.c.alive_at.is_(None),
    StateKind.FETCHING: boots.c.event == "fetching",
    StateKind.LOADED: boots.c.event.in_(("fetched", "loaded")),
    StateKind.BOARD_SILENT: boots.c.alive_at.is_(None),
}
CHUNK = 500


def find_page(
    connection: Connection, state: str, text: str, now: float, *, limit: int, offset: int = 0
) -> list[tuple[NodeRecord, BootRecord | None]]:
    """Last seen first. Ask for one more than is shown to know whether there are more."""
    query = select(nodes.c.id, nodes.c.current_boot).select_from(nodes).order_by(nodes.c.last_seen_at.desc(), nodes.c.id)
    if text:
        query = query.where(_says(text))
    kind = StateKind(state) if state and state not in STANDINGS else None
    if kind is None:
        query = query.where(STANDINGS[state]) if state else query
        found = [(str(row.id), row.current_boot) for row in connection.execute(query.limit(limit).offset(offset))]
    else:
        narrowed = query.join(boots, boots.c.id == nodes.c.current_boot).where(_NARROWED.get(kind, boots.c.id != ""))
        rows = [(str(row.id), row.current_boot) for row in connection.execute(narrowed)]
        found = _first(_in_state(connection, rows, kind, now), limit, offset)
    return _records(connection, found)


def _says(text: str) -> ColumnElement[bool]:
    """Whether the text stands in what a list shows of a node, or is a whole piece of its evidence."""
    plain = text.strip().lower()
    shown = (nodes.c.name, nodes.c.serial, nodes.c.model, nodes.c.address, nodes.c.labels, nodes.c.id)
    pieces = select(evidence.c.node_id).where(evidence.c.value.in_((text, plain)))
    announced = select(expected_evidence.c.node_id).where(expected_evidence.c.value == plain)
    anywhere = [func.lower(column).contains(plain, autoescape=True) for column in shown]
    return or_(*anywhere, nodes.c.id.in_(pieces), nodes.c.id.in_(announced))


def _in_state(
    connection: Connection, rows: Sequence[tuple[str, str]], kind: StateKind, now: float
) -> Iterator[tuple[str, str]]:
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        current = boot_records.find_boots(connection, [boot_id for _, boot_id in chunk])
        yield from ((node_id, boot_id) for node_id, boot_id in chunk if state_of(current[boot_id], now).kind is kind)


def _first(found: Iterator[tuple[str, str]], limit: int, offset: int) -> list[tuple[str, str]]:
    kept: list[tuple[str, str]] = []
    for place, one in enumerate(found):
        if place >= offset:
            kept.append(one)
        if len(kept) == limit:
            break
    return kept


def _records(connection: Connection, found: Sequence[tuple[str, str | None]]) -> list[tuple[NodeRecord, BootRecord | None]]:
    ids = [node_id for node_id, _ in found]
    rows = {row["id"]: NodeRecord(**row) for row in connection.execute(select(nodes).where(nodes.c.id.in_(ids))).mappings()}
    current = boot_records.find_boots(connection, [boot_id for _, boot_id in found if boot_id])
    return [(rows[node_id], current.get(boot_id or "")) for node_id, boot_id in found]


def count_standings(connection: Connection) -> dict[str, int]:
    """How many nodes want a person: contradictions, and boards that nobody approved."""
    columns = {name: STANDINGS[name] for name in (CONFLICT, UNAPPROVED)}
    return {
        name: int(connection.execute(select(func.count()).select_from(nodes).where(where)).scalar_one())
        for name, where in columns.items()
    }
