"""`bootpilot node import FILE`: a list of boards, checked as a whole, shown, and taken as a whole."""

import argparse
import time

from sqlalchemy import Connection

from bootpilot_agent.fields import Json
from bootpilot_server.asking.announcing import Announcement, announce, look_through
from bootpilot_server.commands.rehearsal import carry_out
from bootpilot_server.commands.selecting import author_of, is_meant, shortened
from bootpilot_server.commands.terminal import Terminal
from bootpilot_server.deciding.node_list import MAX_LIST_BYTES, ListFault, read_node_list
from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.errors import OperatorError
from bootpilot_server.server import opened_server, read_config


def node_import(arguments: argparse.Namespace, terminal: Terminal) -> int:
    try:
        with arguments.file.open("rb") as file:
            raw = file.read(MAX_LIST_BYTES + 1)
    except OSError as error:
        raise OperatorError(f"{arguments.file}: {error.strerror}") from error
    rows, faults = read_node_list(raw)
    if faults:
        return _refuse(arguments, terminal, faults)
    with opened_server(read_config(arguments.home), create=True) as server:
        by, now = author_of(arguments), time.time()

        def deed(connection: Connection) -> Announcement:
            return announce(connection, rows, server.revisions.in_force(connection).profiles, by, now)

        with server.database.reading() as connection:
            shown = look_through(connection, rows, server.revisions.in_force(connection).profiles, by, now)
        if shown.faults:
            return _refuse(arguments, terminal, sorted(shown.faults))
        told = _told(shown)
        if arguments.dry_run:
            terminal.tell(_data(shown, changed=False), f"{told}\nnothing was changed")
            return 0
        if not is_meant(arguments, terminal, shown.touches, told, f"import {shown.touches} nodes?"):
            return 1
        done = carry_out(server.database, deed, shown, lambda found: (len(found.made), found.changed, found.faults))
    terminal.tell(_data(done, changed=done.touches > 0), told)
    return 0


def _refuse(arguments: argparse.Namespace, terminal: Terminal, faults: list[ListFault]) -> int:
    data: dict[str, Json] = {"changed": False, "faults": [{"line": fault.line, "reason": fault.reason} for fault in faults]}
    lines = shortened([f"{arguments.file}:{fault.line}: {one_line(fault.reason)}" for fault in faults])
    terminal.tell(data, "\n".join([*lines, "nothing was imported"]))
    return 1


def _told(found: Announcement) -> str:
    lines = shortened([f"{node_id}: {one_line(text)}" for node_id, text in found.changed])
    counts = f"{len(found.made)} boards announced, {len(found.changed)} known ones changed, {found.same} as the list says"
    return "\n".join([*lines, counts])


def _data(found: Announcement, *, changed: bool) -> dict[str, Json]:
    return {
        "changed": changed,
        "announced": [*found.made] if changed else len(found.made),
        "updated": [{"node_id": node_id, "what": text} for node_id, text in found.changed],
        "same": found.same,
    }
