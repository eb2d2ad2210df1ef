"""What became of each boot that was to install: the stages it told of, how long it took, whether its installer left a log.

Reads only. The stages are those that were heard of; an installer that is not this project's has its own.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, select

from bootpilot_agent.events import EventName, Source
from bootpilot_server.deciding.boot_state import installing_text
from bootpilot_server.deciding.records import BootRecord
from bootpilot_server.store import boot_records
from bootpilot_server.store.latest_installs import latest_installs
from bootpilot_server.store.schema import events, log_chunks

# Of the latest ones; those before have their boots' own pages.
MAX_RUNS = 20


@dataclass(frozen=True)
class InstallRun:
    """One boot that was given an installer's plan. `stages` are words, in their order; `heard_at` is when the last came."""

    boot: BootRecord
    stages: tuple[str, ...]
    written_bytes: int
    heard_at: float | None
    has_log: bool

    @property
    def took_s(self) -> float | None:
        """From the jump to the last that was heard of it; None before the jump."""
        begun = self.boot.handover_at or self.boot.alive_at
        ended = self.boot.done_at or self.boot.failed_at or self.heard_at
        return max(0.0, ended - begun) if begun is not None and ended is not None else None


def runs_of(connection: Connection, node_id: str) -> dict[str, list[InstallRun]]:
    """By install id, the newest first."""
    newest = [row.id for row in connection.execute(latest_installs(MAX_RUNS, node_id))]
    boots = sorted(boot_records.find_boots(connection, newest).values(), key=lambda boot: -boot.started_at)
    sent = select(log_chunks.c.boot_id).where(log_chunks.c.boot_id.in_(newest), log_chunks.c.source == Source.INSTALLER.value)
    logs = {row.boot_id for row in connection.execute(sent.distinct())}
    told = _told(connection, newest)
    found: dict[str, list[InstallRun]] = {}
    for boot in boots:
        stages, written, heard_at = told.get(boot.id, ((), 0, None))
        found.setdefault(boot.installs, []).append(InstallRun(boot, stages, written, heard_at, boot.id in logs))
    return found


def _told(connection: Connection, boot_ids: Iterable[str]) -> dict[str, tuple[tuple[str, ...], int, float]]:
    """Of each boot that told anything: its stages, the bytes that were written, and when it was heard last."""
    query = (
        select(events.c.boot_id, events.c.data, events.c.received_at)
        .where(events.c.boot_id.in_([*boot_ids]), events.c.name == EventName.INSTALLING.value)
        .order_by(events.c.boot_id, events.c.source, events.c.seq)
    )
    found: dict[str, tuple[tuple[str, ...], int, float]] = {}
    for row in connection.execute(query):
        stages, written, heard_at = found.get(row.boot_id, ((), 0, 0.0))
        data = json.loads(row.data)
        stage, done, _ = installing_text(data)
        # A stage tells of itself several times while it goes on: the last time counts.
        kept = stages[:-1] if stages and _first(stages[-1]) == _first(stage) else stages
        found[row.boot_id] = ((*kept, stage), max(written, done), max(heard_at, row.received_at))
    return found


def _first(stage: str) -> str:
    return stage.partition(" ")[0]
