"""What a boot tells the server on its way: events, logs, a recording, done and failed. All with its token, all idempotent."""

from sqlalchemy import Connection

from bootpilot_agent.events import Source, events_from_json
from bootpilot_agent.fields import UUID_PATTERN, Fields, Json
from bootpilot_server.asking.turns import settle_boot
from bootpilot_server.deciding.records import BootRecord
from bootpilot_server.errors import ProblemError
from bootpilot_server.store import boot_records, install_records, node_records
from bootpilot_server.store.log_retention import LogRetention

MAX_LOG_BYTES = 4 << 20
MAX_RECORDING_BYTES = 1 << 20
CUT_MARKER = b"\n[the log is cut here: the server keeps 4 MiB]\n"


def take_events(connection: Connection, boot: BootRecord, body: bytes, now: float) -> dict[str, Json]:
    """Raises FieldError."""
    new = events_from_json(body)
    stored = boot_records.add_events(connection, boot, new, now)
    after = boot_records.find_boot(connection, boot.id)
    if after and after.alive_at is not None and boot.alive_at is None:
        node_records.clear_failures(connection, boot.node_id)
    settle_boot(connection, boot, now)
    return {"version": 1, "received": len(new), "stored": stored}


def take_log(
    connection: Connection, boot: BootRecord, source: Source, offset: int, data: bytes, retention: LogRetention
) -> dict[str, Json]:
    """Append what is new of `data`, which begins at `offset` of the sender's log. Raises ProblemError 409 at a gap."""
    have = boot_records.log_bytes(connection, boot.id, source)
    if offset > have and have < MAX_LOG_BYTES:
        raise ProblemError(409, f"the log of {source} goes on at offset {have}, not {offset}", offset=have)
    room = max(0, MAX_LOG_BYTES - have)
    new = data[max(0, have - offset) :]
    kept = new[:room]
    if len(new) > room and have <= MAX_LOG_BYTES:
        kept += CUT_MARKER
    if kept:
        boot_records.add_log(connection, boot.id, source, have, kept)
        retention.trim(connection, boot, len(kept))
    return {"version": 1, "offset": max(have, offset + len(data)), "cut": have + len(kept) > MAX_LOG_BYTES}


def take_recording(
    connection: Connection, boot: BootRecord, data: bytes, now: float, retention: LogRetention
) -> dict[str, Json]:
    """The last one counts."""
    boot_records.save_recording(connection, boot.id, data, now)
    retention.trim(connection, boot, len(data))
    return {"version": 1, "bytes": len(data)}


def take_done(connection: Connection, boot: BootRecord, body: bytes, now: float) -> dict[str, Json]:
    """An install is finished. A late word about another install is written down and changes nothing. Raises FieldError."""
    install_id = _fields(body).text("install_id", pattern=UUID_PATTERN, expected="a UUID")
    if boot.read_plan().get("install_id") != install_id:
        text = f"a word that install {install_id} is done, which this boot was not to make: it changes nothing"
        node_records.add_history(connection, boot.node_id, text, now, boot.id)
    elif boot_records.finish_boot(connection, boot.id, install_id, now):
        install_records.finish(connection, boot.node_id, install_id, now)
        node_records.add_history(connection, boot.node_id, f"install {install_id} is done", now, boot.id)
        node_records.clear_failures(connection, boot.node_id)
    settle_boot(connection, boot, now)
    return {"version": 1}


def take_failed(connection: Connection, boot: BootRecord, body: bytes, now: float) -> dict[str, Json]:
    """Raises FieldError."""
    why = _fields(body).text("why", most=2000)
    if boot_records.fail_boot(connection, boot.id, why, now):
        node_records.add_history(connection, boot.node_id, f"failed: {why}", now, boot.id)
        settle_boot(connection, boot, now)
    return {"version": 1}


def _fields(body: bytes) -> Fields:
    """A body of one or two fields, which a shell script may write: the version may be left out."""
    fields = Fields.from_bytes(body)
    if fields.has("version"):
        fields.version(1)
    return fields
