"""Looks at running rollouts at intervals, so that one stops, or its next wave opens, also while no board asks.

Nothing depends on it: a question that a rollout concerns brings it up to date first. It keeps `rollout list`, and the times in
its history, honest. Of many processes each looks; who finds nothing to do writes nothing.
"""

import logging
import random
import threading
import time

from bootpilot_server.asking.turns import look_through
from bootpilot_server.deciding.rollout_facts import RolloutState
from bootpilot_server.errors import DatabaseUnavailableError
from bootpilot_server.server import Server
from bootpilot_server.store import rollout_records
from bootpilot_server.store.database import Database

log = logging.getLogger(__name__)

LOOK_S = 30.0


class RolloutWatch(threading.Thread):
    """One of these runs in each process that answers boards; it ends with the process."""

    def __init__(self, server: Server) -> None:
        super().__init__(name="rollouts", daemon=True)
        self._server = server

    def run(self) -> None:
        while True:
            # Processes that started together do not look together.
            time.sleep(LOOK_S * random.uniform(0.8, 1.2))  # noqa: S311 (no secret)
            try:
                look(self._server.database, time.time())
            except DatabaseUnavailableError as error:
                log.warning("rollouts were not looked at this time: %s", error)


def look(database: Database, now: float) -> None:
    """Bring every running rollout up to date that nobody looked at lately. Raises DatabaseUnavailableError."""
    with database.reading() as connection:
        due = [rollout.name for rollout in rollout_records.list_rollouts(connection) if rollout.state is RolloutState.RUNNING]
        due = [name for name in due if not 0 <= now - rollout_records.checked_at(connection, name) < LOOK_S / 2]
    for name in due:
        with database.writing() as connection:
            rollout = rollout_records.find_rollout(connection, name)
            if rollout is None or rollout.state is not RolloutState.RUNNING:
                continue
            moved = look_through(connection, rollout, now)
        if moved != rollout:
            log.info("rollout %s: %s, wave %d of %d %s", name, moved.state, moved.wave + 1, len(moved.waves), moved.why)
