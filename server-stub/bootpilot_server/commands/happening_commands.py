"""`bootpilot events`, `log` and `node missing`: what boards told, to people and to programs. Reads only."""

import argparse
import re
import sys
import time

from sqlalchemy import select

from bootpilot_agent.fields import UUID_PATTERN, Json
from bootpilot_server.commands.explain import find_by_text
from bootpilot_server.commands.moments import read_moment
from bootpilot_server.commands.terminal import Terminal, columns
from bootpilot_server.deciding.moments import moment
from bootpilot_server.deciding.records import BootRecord
from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.errors import OperatorError
from bootpilot_server.server import Server, opened_server, read_config
from bootpilot_server.store import boot_records, missing_nodes
from bootpilot_server.store.schema import history


def show_events(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with opened_server(read_config(arguments.home), create=False) as server:
        boot = find_boot(server, arguments.boot)
        happened = _events(server, boot.id)
    rows = [[moment(at), source, seconds, name, data] for at, source, seconds, name, data in happened]
    data: list[Json] = [
        {"received_at": at, "source": source, "at_s": float(seconds) if seconds else None, "name": name, "data": text}
        for at, source, seconds, name, text in happened
    ]
    head = f"boot {boot.id} of node {boot.node_id}, begun {moment(boot.started_at)}\n"
    table = columns(("RECEIVED", "SOURCE", "AT", "EVENT", "DATA"), rows)
    terminal.tell({"boot_id": boot.id, "node_id": boot.node_id, "started_at": boot.started_at, "events": data}, head + table)
    return 0


def _events(server: Server, boot_id: str) -> list[tuple[float, str, str, str, str]]:
    """When, who, the sender's seconds, what, with what; the server's own entries among them."""
    with server.database.reading() as connection:
        events = boot_records.list_events(connection, boot_id)
        entries = connection.execute(select(history).where(history.c.boot_id == boot_id).order_by(history.c.id)).all()
    told = [
        (event.received_at, event.source, f"{event.at_ms / 1000:.3f}", event.name, "" if event.data == "{}" else event.data)
        for event in events
    ]
    # The sort keeps the order of events that came in one request.
    return sorted([*((entry.at, "server", "", "", entry.text) for entry in entries), *told], key=lambda row: row[0])


def show_log(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with opened_server(read_config(arguments.home), create=False) as server:
        boot = find_boot(server, arguments.boot, arguments.source or "")
        with server.database.reading() as connection:
            sources = boot_records.list_logs(connection, boot.id)
            wanted = [source for source in sources if arguments.source in (None, source)]
            logs = {source: boot_records.read_log(connection, boot.id, source) for source in wanted}
    if not logs:
        others = f"; it has those of {', '.join(sources)}" if sources else ""
        raise OperatorError(f"boot {boot.id} has no log{' of ' + arguments.source if arguments.source else ''}{others}")
    if arguments.raw and not terminal.as_json:
        sys.stdout.buffer.write(b"".join(logs.values()))
        sys.stdout.flush()
        return 0
    texts = {source: "\n".join(one_line(line) for line in _lines(data)) for source, data in logs.items()}
    shown = [(f"== {source} ==\n" if len(texts) > 1 else "") + text for source, text in texts.items()]
    terminal.tell({"boot_id": boot.id, "node_id": boot.node_id, "logs": {**texts}}, "\n".join(shown))
    return 0


def _lines(data: bytes) -> list[str]:
    return [line.removesuffix("\r") for line in data.decode("utf-8", "replace").removesuffix("\n").split("\n")]


def list_missing(arguments: argparse.Namespace, terminal: Terminal) -> int:
    now = time.time()
    since = read_moment(arguments.since, now)
    if since > now:
        raise OperatorError(f"--since {arguments.since}: is in the future, it is {moment(now)}")
    with opened_server(read_config(arguments.home), create=False) as server, server.database.reading() as connection:
        found = missing_nodes.list_missing(connection, since)
    rows = [[row.id, row.model, row.serial or "-", row.address, row.profile or "-", moment(row.told_at)] for row in found]
    data: list[Json] = [
        {
            "node_id": row.id,
            "model": row.model,
            "serial": row.serial,
            "address": row.address,
            "profile": row.profile,
            "boot_id": row.current_boot,
            "last_heard_at": row.told_at,
        }
        for row in found
    ]
    table = columns(("NODE", "MODEL", "SERIAL", "ADDRESS", "PROFILE", "LAST HEARD OF"), rows) + "\n" if rows else ""
    count = f"{len(found)} nodes were" if len(found) != 1 else "1 node was"
    terminal.tell(data, f"{table}{count} not heard of since {moment(since)}")
    return 1 if found else 0


def find_boot(server: Server, text: str, source: str = "") -> BootRecord:
    """The boot of this id, or the last one of the node that a person means: of those with a log of `source`, if there are any.
    Raises OperatorError.
    """
    with server.database.reading() as connection:
        if re.fullmatch(UUID_PATTERN, text.lower()) and (boot := boot_records.find_boot(connection, text.lower())):
            return boot
    node = find_by_text(server, text)
    with server.database.reading() as connection:
        last = boot_records.find_boot(connection, node.current_boot) if node.current_boot else None
        last = (boot_records.last_with_log(connection, node.id, source) if source else None) or last
    if last is None:
        raise OperatorError(f"node {node.id} has no boot yet")
    return last
