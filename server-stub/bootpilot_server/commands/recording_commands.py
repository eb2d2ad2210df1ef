"""`bootpilot recording`: what boards took down of their boots, as a list, a file, a time line, HAR. Reads only."""

import argparse
import json
import sys
from pathlib import Path

from bootpilot_agent import recording
from bootpilot_agent.fields import FieldError, Json
from bootpilot_agent.recording import Recording
from bootpilot_server.commands.explain import find_by_text
from bootpilot_server.commands.happening_commands import find_boot
from bootpilot_server.commands.terminal import Terminal, columns
from bootpilot_server.deciding.moments import moment
from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.errors import OperatorError
from bootpilot_server.recordings.clock import BoardClock
from bootpilot_server.recordings.har import to_har
from bootpilot_server.recordings.time_line import Row, summary, time_line
from bootpilot_server.server import opened_server, read_config
from bootpilot_server.store import boot_records


def list_recordings(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with opened_server(read_config(arguments.home), create=False) as server:
        node_id = find_by_text(server, arguments.node).id if arguments.node else None
        with server.database.reading() as connection:
            found = boot_records.list_recordings(connection, node_id)
    rows = [[row.boot_id, row.model, row.profile or "-", moment(row.started_at), str(row.size_bytes)] for row in found]
    data: list[Json] = [
        {
            "boot_id": row.boot_id,
            "node_id": row.node_id,
            "model": row.model,
            "profile": row.profile,
            "started_at": row.started_at,
            "received_at": row.received_at,
            "bytes": row.size_bytes,
        }
        for row in found
    ]
    terminal.tell(data, columns(("BOOT", "MODEL", "PROFILE", "BEGAN", "BYTES"), rows) if rows else "no boot has a recording")
    return 0


def export_recording(arguments: argparse.Namespace, terminal: Terminal) -> int:
    boot_id, raw = _stored(arguments)
    target: Path = arguments.output or Path(f"{boot_id}{recording.SUFFIX}")
    if str(target) == "-":
        sys.stdout.buffer.write(raw)
        sys.stdout.flush()
        return 0
    try:
        target.write_bytes(raw)
    except OSError as error:
        raise OperatorError(f"{target}: {error.strerror}") from error
    terminal.tell({"boot_id": boot_id, "file": str(target), "bytes": len(raw)}, f"{target}: {len(raw)} bytes")
    return 0


def show_recording(arguments: argparse.Namespace, terminal: Terminal) -> int:
    found = _read(arguments)
    if arguments.har:
        print(json.dumps(to_har(found), indent=2))
        return 0
    rows, clock = time_line(found, everything=arguments.everything), BoardClock.of(found)
    terminal.tell(_data(found, rows, clock), _text(found, rows, clock, in_utc=arguments.utc))
    return 0


def _text(found: Recording, rows: list[Row], clock: BoardClock, *, in_utc: bool) -> str:
    header = found.header
    told = [
        [clock.iso(row.t_ms) if in_utc else f"{row.at_ms / 1000:.3f}", "!" if row.failed else "", row.kind, row.text]
        for row in rows
    ]
    began = clock.iso(header.started_ms) if clock.start_s else "at a time that no clock told"
    head = f"boot {header.boot_id}, agent {header.agent_version} build {header.build_id} ({header.arch}), begun {began}"
    return "\n".join([one_line(head), columns(("AT", "", "WHAT", ""), told), *map(one_line, summary(found))])


def _data(found: Recording, rows: list[Row], clock: BoardClock) -> Json:
    return {
        **found.header.to_json(),
        "rows": [
            {"at_ms": row.at_ms, "at": clock.iso(row.t_ms), "kind": row.kind, "text": row.text, "failed": row.failed}
            for row in rows
        ],
        "notes": [*summary(found)],
    }


def _read(arguments: argparse.Namespace) -> Recording:
    """Of a file, else of a boot. Raises OperatorError."""
    path = Path(arguments.boot)
    if path.is_file():
        with path.open("rb") as file:
            name, raw = str(path), file.read(recording.MAX_PACKED_BYTES + 1)
    else:
        name, raw = _stored(arguments)
    try:
        return recording.read(raw)
    except FieldError as error:
        raise OperatorError(f"{name} is no recording that can be read: {error}") from error


def _stored(arguments: argparse.Namespace) -> tuple[str, bytes]:
    with opened_server(read_config(arguments.home), create=False) as server:
        boot = find_boot(server, arguments.boot)
        with server.database.reading() as connection:
            raw = boot_records.read_recording(connection, boot.id)
    if raw is None:
        hint = "boards send it when a boot fails, and always if the profile says `record = true`"
        raise OperatorError(f"boot {boot.id} has no recording", hint)
    return boot.id, raw
