"""`bootpilot revisions` and `diff`: who put what in force, when, and what differs."""

import argparse
import difflib
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection

from bootpilot_agent.fields import Json
from bootpilot_server.commands.selecting import WordsError
from bootpilot_server.commands.terminal import Terminal, columns
from bootpilot_server.deciding.moments import moment
from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.errors import OperatorError
from bootpilot_server.server import opened_server, read_config
from bootpilot_server.site_folder.settled import read_settled_folder
from bootpilot_server.store import revision_records

MAX_FILES_SHOWN = 6


def revisions(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Newest first, with the files that each changed."""
    with opened_server(read_config(arguments.home), create=False) as server, server.database.reading() as connection:
        entries = revision_records.list_entries(connection, max(1, arguments.last))
        changed = {entry.number: _changed_files(connection, entry.number - 1, entry.number) for entry in entries}
    data: list[Json] = [
        {
            "revision": entry.number,
            "applied_at": entry.applied_at,
            "by": entry.applied_by,
            "note": entry.note,
            "files": [*changed[entry.number]],
        }
        for entry in entries
    ]
    rows = []
    for entry in entries:
        files = changed[entry.number]
        more = f" and {len(files) - MAX_FILES_SHOWN} more" if len(files) > MAX_FILES_SHOWN else ""
        shown = (f"({entry.note}) " if entry.note else "") + ", ".join(files[:MAX_FILES_SHOWN]) + more
        when = moment(entry.applied_at)
        rows.append([str(entry.number), when, entry.applied_by or "-", shown])
    terminal.tell(data, columns(("REVISION", "WHEN", "BY", "FILES"), rows))
    return 0


def diff(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """A unified diff by file, as `diff -u` would show it. Exit status 0 whether or not anything differs."""
    with opened_server(read_config(arguments.home), create=False) as server, server.database.reading() as connection:
        current = revision_records.current_number(connection)
        names = _sides(arguments.what, current)
        one, other = (_texts(connection, name) for name in names)
    lines = _diff(one, other, f"revision {names[0]}", names[1] if _is_folder(names[1]) else f"revision {names[1]}")
    terminal.tell({"from": names[0], "to": names[1], "diff": [*lines]}, "\n".join(lines) or "nothing differs")
    return 0


def _sides(what: list[str], current: int) -> tuple[str, str]:
    if len(what) > 2 or (len(what) == 2 and any(_is_folder(name) for name in what)):
        raise WordsError("diff: expected at most two revisions, or one folder", "`bootpilot diff --help` has examples")
    if not what:
        return str(max(0, current - 1)), str(current)
    if len(what) == 1:
        return (str(current), what[0]) if _is_folder(what[0]) else (what[0], str(current))
    return what[0], what[1]


def _is_folder(name: str) -> bool:
    return not (name.isascii() and name.isdecimal() and len(name) < 10)


def _texts(connection: Connection, name: str) -> Mapping[str, str]:
    if _is_folder(name):
        return read_settled_folder(Path(name))[0]
    texts = revision_records.read_texts(connection, int(name))
    if texts is None:
        raise OperatorError(f"there is no revision {name}", "`bootpilot revisions` lists them")
    return texts


def _changed_files(connection: Connection, before: int, after: int) -> list[str]:
    one = revision_records.read_texts(connection, before) or {}
    other = revision_records.read_texts(connection, after) or {}
    return sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))


def _diff(one: Mapping[str, str], other: Mapping[str, str], from_name: str, to_name: str) -> list[str]:
    lines: list[str] = []
    for path in sorted(one.keys() | other.keys()):
        old, new = (texts.get(path, "").splitlines() for texts in (one, other))
        lines += difflib.unified_diff(old, new, f"{path} ({from_name})", f"{path} ({to_name})", lineterm="")
    return [one_line(line.replace("\t", "    ")) for line in lines]
