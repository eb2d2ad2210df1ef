"""`bootpilot batch ...`: secrets for cards. The secret is printed once and kept nowhere."""

import argparse
import re
import secrets
import time
from datetime import UTC, datetime

from bootpilot_agent.fields import Json
from bootpilot_server.asking.enrolment import secret_digest
from bootpilot_server.commands.selecting import WordsError, author_of
from bootpilot_server.commands.terminal import Terminal, columns
from bootpilot_server.deciding.approval import BATCH
from bootpilot_server.deciding.end_date import end_of
from bootpilot_server.errors import OperatorError
from bootpilot_server.server import opened_server, read_config
from bootpilot_server.site_folder.rules import MAX_COUNT
from bootpilot_server.store import batch_records, node_records
from bootpilot_server.store.batch_records import BatchRecord

NAME_PATTERN = r"[a-z0-9][a-z0-9._-]{0,62}"
SECRET_BYTES = 20


def batch_create(arguments: argparse.Namespace, terminal: Terminal) -> int:
    now, name = time.time(), arguments.name
    if not re.fullmatch(NAME_PATTERN, name):
        raise WordsError(f"{name!r}: a batch's name is lower-case letters, digits, '.', '_' and '-'")
    if not 1 <= arguments.max <= MAX_COUNT:
        raise WordsError(f"--max: expected a number from 1 to {MAX_COUNT}")
    try:
        until = end_of(arguments.until)
    except ValueError as error:
        raise WordsError(f"--until: expected {error}") from error
    if until <= now:
        raise WordsError(f"--until: {arguments.until} is over")
    secret = secrets.token_urlsafe(SECRET_BYTES)
    batch = BatchRecord(
        name, secret_digest(name, secret), arguments.max, until, arguments.profile, now, author_of(arguments), None
    )
    with opened_server(read_config(arguments.home), create=True) as server, server.database.writing() as connection:
        if batch_records.find_batch(connection, name) is not None:
            raise OperatorError(f"there is a batch {name} already", "its secret cannot be shown again; choose another name")
        profiles = server.revisions.in_force(connection).profiles
        if arguments.profile and arguments.profile not in profiles:
            known = ", ".join(sorted(profiles)) or "none is in force"
            raise OperatorError(f"there is no profile {arguments.profile}", f"profiles: {known}")
        batch_records.add_batch(connection, batch)
    line = f'enrol = "{name}:{secret}"'
    data: dict[str, Json] = {"batch": name, "line": line, "max": arguments.max, "until": _day(until)}
    terminal.tell(
        data, f"{line}\n# for bootpilot.txt on the cards; shown this once. {arguments.max} boards, until {_day(until)}"
    )
    return 0


def batch_list(arguments: argparse.Namespace, terminal: Terminal) -> int:
    now = time.time()
    with opened_server(read_config(arguments.home), create=False) as server, server.database.reading() as connection:
        found, counted = batch_records.list_batches(connection), node_records.count_by_approval(connection)
        wrong = batch_records.wrong_by_batch(connection)
    rows, data = [], list[Json]()
    for batch in found:
        admitted = counted.get(BATCH + batch.name, 0)
        state = batch.objection(admitted, now).removeprefix(f"batch {batch.name} is ").partition(":")[0] or "open"
        rows.append(
            [batch.name, f"{admitted} of {batch.max_count}", _day(batch.until), batch.profile or "-", state, batch.created_by]
        )
        rows[-1].append(str(wrong.get(batch.name, 0)))
        data.append(
            {
                "batch": batch.name,
                "admitted": admitted,
                "max": batch.max_count,
                "until": _day(batch.until),
                "profile": batch.profile,
                "state": state,
                "created_by": batch.created_by,
                "wrong_secrets": wrong.get(batch.name, 0),
            }
        )
    terminal.tell(data, columns(("BATCH", "BOARDS", "UNTIL", "PROFILE", "STATE", "MADE BY", "WRONG SECRETS"), rows))
    return 0


def batch_close(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with opened_server(read_config(arguments.home), create=False) as server, server.database.writing() as connection:
        if batch_records.find_batch(connection, arguments.name) is None:
            raise OperatorError(f"there is no batch {arguments.name}", "`bootpilot batch list` shows all")
        batch_records.close_batch(connection, arguments.name, time.time())
    terminal.tell({"closed": arguments.name}, f"closed {arguments.name}; boards that it let in stay approved")
    return 0


def _day(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
