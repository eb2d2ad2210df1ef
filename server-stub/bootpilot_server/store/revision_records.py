"""Revisions in the database: what was applied, as texts, and the parsed one that is in force."""

import json
import threading
from collections.abc import Mapping

from sqlalchemy import Connection, func, select

from bootpilot_server.deciding.recipes import Revision
from bootpilot_server.site_folder.revision import read_revision
from bootpilot_server.store.schema import revisions


def add_revision(connection: Connection, texts: Mapping[str, str], now: float) -> tuple[int, bool]:
    """Put texts in force that were checked before. Returns the number, and False if they were in force already."""
    number = current_number(connection)
    content = json.dumps(dict(texts), sort_keys=True)
    if number and connection.execute(select(revisions.c.texts).where(revisions.c.number == number)).scalar_one() == content:
        return number, False
    connection.execute(revisions.insert().values(number=number + 1, applied_at=now, texts=content))
    return number + 1, True


def current_number(connection: Connection) -> int:
    """The revision in force; 0 before the first."""
    return connection.execute(select(func.max(revisions.c.number))).scalar_one() or 0


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
