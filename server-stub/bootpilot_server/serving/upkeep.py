"""What the server does by itself while it answers: it prunes at intervals, and sooner when much has come in.

Files with secrets go within a minute or so of when their boot has no more use for them.

Of all processes and servers of one database one does it: who enters its time first.
"""

import logging
import random
import threading
import time

from sqlalchemy import select, update

from bootpilot_server.asking.secret_file_keeping import drop_over
from bootpilot_server.errors import DatabaseUnavailableError
from bootpilot_server.server import Server
from bootpilot_server.store.database import Database
from bootpilot_server.store.dialect import insert_if_new
from bootpilot_server.store.pruning import prune
from bootpilot_server.store.schema import about

log = logging.getLogger(__name__)

# How often a process looks whether it is time.
LOOK_S = 60.0
PRUNED_AT = "pruned_at"


class Upkeep(threading.Thread):
    """One of these runs in each process that answers boards; it ends with the process."""

    def __init__(self, server: Server) -> None:
        super().__init__(name="upkeep", daemon=True)
        self._server = server

    def run(self) -> None:
        minutes = self._server.config.keep.prune_minutes
        while True:
            # Processes that started together do not look together.
            is_full = self._server.intake.wait_until_much(LOOK_S * random.uniform(0.8, 1.2))  # noqa: S311 (no secret)
            try:
                drop_over(self._server, time.time())
                if minutes and (is_full or take_turn(self._server.database, time.time(), minutes * 60.0)):
                    found = prune(self._server.database, self._server.config.keep, time.time())
                    log.info("pruned: %s", ", ".join(f"{count} {what}" for what, count in found.counts().items()))
            except DatabaseUnavailableError as error:
                log.warning("nothing was pruned this time: %s", error)


def take_turn(database: Database, now: float, interval_s: float) -> bool:
    """Whether it is time, and this process is the first to see it."""
    with database.reading() as connection:
        last = connection.execute(select(about.c.value).where(about.c.key == PRUNED_AT)).scalar_one_or_none()
        if _is_recent(last, now, interval_s):
            return False
    with database.writing() as connection:
        insert_if_new(connection, about, {"key": PRUNED_AT, "value": "0"})
        last = connection.execute(select(about.c.value).where(about.c.key == PRUNED_AT)).scalar_one()
        if _is_recent(last, now, interval_s):
            return False
        connection.execute(update(about).where(about.c.key == PRUNED_AT).values(value=str(now)))
        return True


def _is_recent(last: str | None, now: float, interval_s: float) -> bool:
    """A time in the future was entered before the clock was set back, and counts for nothing."""
    return last is not None and now - interval_s < float(last) <= now
