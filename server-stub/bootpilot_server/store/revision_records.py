"""Revisions in the database: what was applied, as texts, and the parsed one that is in force."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from bootpilot_server.deciding.recipes import Revision
from bootpilot_server.site_folder.revision import read_revision
from bootpilot_server.store.schema import revisions


@dataclass(frozen=True)
class Entry:
    """One revision in the list of all, without its texts."""

    number: int
    applied_at: float
    applied_by: str
    note: str


def add_revision(
    connection: Connection, texts: Mapping[str, str], now: float, author: str = "", note: str = ""
) -> tuple[int, bool]:
    """Put texts in force that were checked before. Returns the number, and False if they were in force already."""
    number = current_number(connection)
    content = json.dumps(dict(texts), sort_keys=True)
    if number and connection.execute(select(revisions.c.texts).where(revisions.c.number == number)).scalar_one() == content:
        return number, False
    row = {"number": number + 1, "applied_at": now, "texts": content, "applied_by": author, "note": note}
    connection.execute(revisions.insert().values(row))
    return number + 1, True


def current_number(connection: Connection) -> int:
    """The revision in force; 0 before the first."""
    return connection.execute(select(func.max(revisions.c.number))).scalar_one() or 0


def list_entries(connection: Connection, limit: int) -> list[Entry]:
    """Newest first."""
    query = select(*_ENTRY).order_by(revisions.c.number.desc()).limit(limit)
    return [Entry(*row) for row in connection.execute(query)]


def read_entry(connection: Connection, number: int) -> Entry | None:
    row = connection.execute(select(*_ENTRY).where(revisions.c.number == number)).one_or_none()
    return Entry(*row) if row else None


def read_texts(connection: Connection, number: int) -> dict[str, str] | None:
    """What was applied, by path. Number 0 is the empty folder before the first `apply`."""
    if number == 0:
        return {}
    content = connection.execute(select(revisions.c.texts).where(revisions.c.number == number)).scalar_one_or_none()
    return None if content is None else dict(json.loads(content))


def last_texts(connection: Connection, count: int) -> list[str]:
    """What the newest revisions hold, each as one text."""
    return list(connection.execute(select(revisions.c.texts).order_by(revisions.c.number.desc()).limit(count)).scalars())


_ENTRY = (revisions.c.number, revisions.c.applied_at, revisions.c.applied_by, revisions.c.note)


class RevisionCache:
    """The revision in force, parsed once per process: a revision never changes after it was applied."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = Revision()
        self._applied_at: float | None = None

    def in_force(self, connection: Connection) -> Revision:
        number = current_number(connection)
        at = connection.execute(select(revisions.c.applied_at).where(revisions.c.number == number)).scalar_one_or_none()
        with self._lock:
            # After a restore another revision may have the number of one that was in force before.
            if (self._last.number, self._applied_at) != (number, at):
                self._last, self._applied_at = Revision(), at
                if number:
                    texts = connection.execute(select(revisions.c.texts).where(revisions.c.number == number)).scalar_one()
                    self._last, _ = read_revision(json.loads(texts), number)
            return self._last
