"""Boots, their questions, events, logs and recordings in the database, inside the transaction of the given connection."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, RowMapping, func, select, update

from bootpilot_agent.events import Event, EventName, Source
from bootpilot_server.deciding.boot_state import describe_failure, rank_of
from bootpilot_server.deciding.recipes import Expects
from bootpilot_server.deciding.records import BootRecord
from bootpilot_server.store.dialect import insert_if_new, insert_or_update
from bootpilot_server.store.keeping import KEEP
from bootpilot_server.store.latest_installs import latest_installs
from bootpilot_server.store.schema import boots, events, log_chunks, nodes, questions, recordings

# A waiting board asks for ever under one boot_id; only its last questions can still be asked again.
MAX_QUESTIONS = 16
MAX_BOOTS = 50
MAX_EVENTS = 4096
# Of their data; those of an ordinary boot are a thousandth of it.
MAX_EVENT_BYTES = 1 << 20
# A log that comes in tiny pieces is put together until a row is so large.
LOG_PIECE_BYTES = 16 << 10


def find_boot(connection: Connection, boot_id: str) -> BootRecord | None:
    row = connection.execute(select(boots).where(boots.c.id == boot_id)).mappings().one_or_none()
    return _record(row) if row else None


def find_boots(connection: Connection, boot_ids: Sequence[str]) -> dict[str, BootRecord]:
    return {row["id"]: _record(row) for row in connection.execute(select(boots).where(boots.c.id.in_(boot_ids))).mappings()}


def current_boots(connection: Connection) -> dict[str, BootRecord]:
    """The current boot of every node, by the node's id."""
    query = select(boots).join(nodes, nodes.c.current_boot == boots.c.id)
    return {row["node_id"]: _record(row) for row in connection.execute(query).mappings()}


def list_boots(connection: Connection, node_id: str, limit: int = 20) -> list[BootRecord]:
    """Newest first."""
    query = select(boots).where(boots.c.node_id == node_id).order_by(boots.c.started_at.desc(), boots.c.id).limit(limit)
    return [_record(row) for row in connection.execute(query).mappings()]


def save_boot(
    connection: Connection, boot_id: str, values: dict[str, object], now: float, installs_kept: int = KEEP.installs_per_node
) -> None:
    """Make the boot or give it its next plan; old boots of the node go, but for the last ones that were to install."""
    fresh = {"id": boot_id, "started_at": now, **values}
    again = {key: value for key, value in values.items() if key != "first_nonce"}
    insert_or_update(connection, boots, fresh, again)
    own = boots.c.node_id == values["node_id"]
    kept = select(boots.c.id).where(own).order_by(boots.c.started_at.desc(), boots.c.id).limit(MAX_BOOTS)
    old = (own, boots.c.id.not_in(kept), boots.c.id != boot_id)
    last_installs = latest_installs(installs_kept, str(values["node_id"]))
    connection.execute(boots.delete().where(*old, boots.c.id.not_in(last_installs)))


def find_question(connection: Connection, boot_id: str, nonce: str) -> Row[tuple[object, ...]] | None:
    """The row has body_sha256, asked_at, valid_s and plan."""
    return connection.execute(select(questions).where(questions.c.boot_id == boot_id, questions.c.nonce == nonce)).one_or_none()


def save_question(
    connection: Connection, boot_id: str, nonce: str, body_sha256: str, valid_s: int, plan: str, now: float
) -> None:
    values = {"boot_id": boot_id, "nonce": nonce, "body_sha256": body_sha256, "asked_at": now, "valid_s": valid_s, "plan": plan}
    connection.execute(questions.insert().values(values))
    own = questions.c.boot_id == boot_id
    kept = select(questions.c.nonce).where(own).order_by(questions.c.asked_at.desc()).limit(MAX_QUESTIONS)
    connection.execute(questions.delete().where(own, questions.c.nonce.not_in(kept), questions.c.nonce != nonce))


def add_events(connection: Connection, boot: BootRecord, new: Sequence[Event], now: float) -> int:
    """Store the events that are not there yet, in whatever order they come, and move the boot on. Returns how many were new."""
    stored = 0
    count, size = connection.execute(
        select(func.count(), func.coalesce(func.sum(func.length(events.c.data)), 0)).where(events.c.boot_id == boot.id)
    ).one()
    for event in new[: max(0, MAX_EVENTS - count)]:
        data = json.dumps(event.data)
        size += len(data)
        if size > MAX_EVENT_BYTES:
            break
        values = {
            "boot_id": boot.id,
            "source": event.source.value,
            "seq": event.seq,
            "name": event.name.value,
            "at_ms": event.at_ms,
        }
        row = {**values, "data": json.dumps(event.data), "received_at": now}
        if insert_if_new(connection, events, row):
            stored += 1
            _move_on(connection, boot.id, event, now)
    return stored


def _move_on(connection: Connection, boot_id: str, event: Event, now: float) -> None:
    def set_if(condition: object, **values: object) -> None:
        connection.execute(update(boots).where(boots.c.id == boot_id, condition).values(**values))  # type: ignore[arg-type]

    rank = rank_of(event)
    set_if(boots.c.event_rank < rank, event_rank=rank, event=event.name.value, event_data=json.dumps(event.data))
    if event.name is EventName.HANDOVER:
        set_if(boots.c.handover_at.is_(None), handover_at=now)
    if event.name is EventName.FAILED:
        set_if(boots.c.failed_at.is_(None), failed_at=now, failure=describe_failure(event.data))
    elif event.source is not Source.AGENT or event.name is EventName.PAYLOAD_UP:
        set_if(boots.c.alive_at.is_(None), alive_at=now)
    if event.source is Source.SYSTEM:
        # Its clock began with its kernel: so the server knows when it came up, however late it hears of it.
        up_at = max(0.0, now - event.at_ms / 1000)
        set_if(boots.c.booted_at > up_at, booted_at=up_at)


def mark_alive(connection: Connection, boot_id: str, now: float) -> None:
    """What the boot started was heard of."""
    connection.execute(update(boots).where(boots.c.id == boot_id, boots.c.alive_at.is_(None)).values(alive_at=now))


def fail_boot(connection: Connection, boot_id: str, failure: str, now: float) -> bool:
    """False if it had failed already; the first reason stays."""
    change = update(boots).where(boots.c.id == boot_id, boots.c.failed_at.is_(None)).values(failed_at=now, failure=failure)
    return bool(connection.execute(change).rowcount)


def finish_boot(connection: Connection, boot_id: str, install_id: str, now: float) -> bool:
    """False if it was done already; the first install id stays."""
    change = update(boots).where(boots.c.id == boot_id, boots.c.done_at.is_(None)).values(done_at=now, install_id=install_id)
    return bool(connection.execute(change).rowcount)


def list_events(connection: Connection, boot_id: str) -> Sequence[Row[tuple[object, ...]]]:
    """In the order of the boot: the agent's first, then whoever came after the jump."""
    query = (
        select(events)
        .where(events.c.boot_id == boot_id)
        .order_by(events.c.source != Source.AGENT.value, events.c.source, events.c.seq)
    )
    return connection.execute(query).all()


def log_bytes(connection: Connection, boot_id: str, source: str) -> int:
    """How much of this log was received: the offset at which it goes on."""
    end = func.max(log_chunks.c.offset + func.length(log_chunks.c.data))
    return (
        connection.execute(select(end).where(log_chunks.c.boot_id == boot_id, log_chunks.c.source == source)).scalar_one() or 0
    )


def add_log(connection: Connection, boot_id: str, source: str, offset: int, data: bytes) -> None:
    """`offset` is where the log ended until now."""
    own = (log_chunks.c.boot_id == boot_id, log_chunks.c.source == source)
    is_small = func.length(log_chunks.c.data) < LOG_PIECE_BYTES
    last = connection.execute(
        select(log_chunks.c.offset, log_chunks.c.data).where(*own, is_small).order_by(log_chunks.c.offset.desc()).limit(1)
    ).one_or_none()
    if last and last.offset + len(last.data) == offset:
        change = update(log_chunks).where(*own, log_chunks.c.offset == last.offset)
        connection.execute(change.values(data=last.data + data))
    else:
        connection.execute(log_chunks.insert().values(boot_id=boot_id, source=source, offset=offset, data=data))


def read_log(connection: Connection, boot_id: str, source: str) -> bytes:
    query = select(log_chunks.c.data).where(log_chunks.c.boot_id == boot_id, log_chunks.c.source == source)
    return b"".join(connection.execute(query.order_by(log_chunks.c.offset)).scalars())


def read_log_tail(connection: Connection, boot_id: str, source: str, most_bytes: int) -> bytes:
    """The end of a log, without reading the rest of it."""
    end = log_bytes(connection, boot_id, source)
    query = select(log_chunks.c.data).where(
        log_chunks.c.boot_id == boot_id,
        log_chunks.c.source == source,
        log_chunks.c.offset + func.length(log_chunks.c.data) > end - most_bytes,
    )
    return b"".join(connection.execute(query.order_by(log_chunks.c.offset)).scalars())[-most_bytes:]


def list_logs(connection: Connection, boot_id: str) -> list[str]:
    """The sources that sent a log."""
    query = select(log_chunks.c.source).where(log_chunks.c.boot_id == boot_id).distinct().order_by(log_chunks.c.source)
    return list(connection.execute(query).scalars())


def last_with_log(connection: Connection, node_id: str, source: str) -> BootRecord | None:
    """The node's last boot that has a log of this source."""
    sent = select(log_chunks.c.boot_id).where(log_chunks.c.source == source)
    query = select(boots).where(boots.c.node_id == node_id, boots.c.id.in_(sent))
    row = connection.execute(query.order_by(boots.c.started_at.desc(), boots.c.id).limit(1)).mappings().one_or_none()
    return _record(row) if row else None


def save_recording(connection: Connection, boot_id: str, data: bytes, now: float) -> None:
    values = {"data": data, "received_at": now}
    insert_or_update(connection, recordings, {"boot_id": boot_id, **values}, values)


def has_recording(connection: Connection, boot_id: str) -> bool:
    return connection.execute(select(recordings.c.boot_id).where(recordings.c.boot_id == boot_id)).one_or_none() is not None


@dataclass(frozen=True)
class StoredRecording:
    """That a boot has one, and of which node."""

    boot_id: str
    node_id: str
    model: str
    profile: str
    started_at: float
    received_at: float
    size_bytes: int


def list_recordings(connection: Connection, node_id: str | None = None) -> list[StoredRecording]:
    """Of one node, or of all; newest boots first."""
    size_bytes = func.length(recordings.c.data)
    query = (
        select(boots.c.id, nodes.c.id, nodes.c.model, boots.c.profile, boots.c.started_at, recordings.c.received_at, size_bytes)
        .join(boots, boots.c.id == recordings.c.boot_id)
        .join(nodes, nodes.c.id == boots.c.node_id)
        .order_by(boots.c.started_at.desc(), boots.c.id)
    )
    found = connection.execute(query if node_id is None else query.where(nodes.c.id == node_id))
    return [StoredRecording(*row) for row in found]


def read_recording(connection: Connection, boot_id: str) -> bytes | None:
    return connection.execute(select(recordings.c.data).where(recordings.c.boot_id == boot_id)).scalar_one_or_none()


def _record(row: RowMapping) -> BootRecord:
    values = dict(row)
    return BootRecord(**{**values, "expects": Expects(values["expects"])})
