"""Which artifacts nobody needs any more, and their removal.

Needed is what the revision in force names, what the plans of the last days name, and what was stored in the last days: an
artifact is added before the profile that names it is applied. All of it is looked up and removed in one writer's transaction,
and plans are made in such transactions too, so no plan ever names a file that goes at that moment.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from bootpilot_agent.plan import SHA256_PATTERN
from bootpilot_server.errors import OperatorError
from bootpilot_server.server import Server
from bootpilot_server.site_folder.profiles import MAX_DEADLINE_S
from bootpilot_server.store.schema import artifacts, boots, questions

# No board may fetch for longer than the longest fetch_deadline_s.
KEPT_S = MAX_DEADLINE_S
MIN_BEGINNING = 8


@dataclass(frozen=True)
class Unneeded:
    """An artifact that may go. `name` is "" for what was made for a plan."""

    sha256: str
    size_bytes: int
    name: str


def prune(server: Server, now: float, *, remove: bool) -> list[Unneeded]:
    """What nobody needs, in order; with `remove` it is gone afterwards. Raises HomeError."""
    with server.database.writing() as connection:
        needed = _named_in_force(server, connection).keys() | _named_by_plans(connection, now - KEPT_S)
        stored = server.artifacts.describe(server.artifacts.digests())
        old = [sha256 for sha256 in sorted(stored.keys() - needed) if server.artifacts.stored_at(sha256) < now - KEPT_S]
        names = {row.sha256: row.name for row in connection.execute(select(artifacts))}
        found = [Unneeded(sha256, stored[sha256].size_bytes, names.get(sha256, "")) for sha256 in old]
        if remove:
            _remove(server, connection, old)
    return found


def remove_named(server: Server, texts: Sequence[str], now: float) -> list[str]:
    """The artifacts that these digests, or beginnings of digests, mean: all of them go or none. Raises OperatorError."""
    with server.database.writing() as connection:
        digests = [_meant(server.artifacts.digests(), text) for text in texts]
        in_force = _named_in_force(server, connection)
        planned = _named_by_plans(connection, now - KEPT_S)
        for sha256 in digests:
            if sha256 in in_force:
                message = f"artifact {sha256} is named by {in_force[sha256]}, which is in force"
                raise OperatorError(message, "`bootpilot apply` a folder that does not name it first")
            if sha256 in planned:
                message = f"artifact {sha256} was named in a plan of the last {KEPT_S // 86400} days"
                raise OperatorError(message, "boards may still be fetching it; wait, or `bootpilot node forget` them")
        _remove(server, connection, digests)
    return digests


def _remove(server: Server, connection: Connection, digests: Iterable[str]) -> None:
    for sha256 in digests:
        server.artifacts.remove(sha256)
        connection.execute(artifacts.delete().where(artifacts.c.sha256 == sha256))


def _meant(digests: Iterable[str], text: str) -> str:
    found = [sha256 for sha256 in digests if len(text) >= MIN_BEGINNING and sha256.startswith(text.lower())]
    if len(found) != 1:
        message = f"{len(found)} artifacts begin with {text}" if found else f"no artifact is known as {text!r}"
        raise OperatorError(message, f"`bootpilot artifact list` shows all; a digest's first {MIN_BEGINNING} or more will do")
    return found[0]


def _named_in_force(server: Server, connection: Connection) -> Mapping[str, str]:
    """Digest -> the file of the folder that names it."""
    payloads = server.revisions.in_force(connection).payloads()
    return {ref.sha256: path for path, payload in payloads.items() for ref in payload.artifacts}


def _named_by_plans(connection: Connection, since: float) -> set[str]:
    """Digests in the plans that were made since then: the last one of each boot, and those that can be asked for again."""
    recent = select(boots.c.plan).where(boots.c.planned_at >= since)
    answered = select(questions.c.plan).where(questions.c.asked_at >= since)
    return {
        digest
        for query in (recent, answered)
        for plan in connection.execute(query).scalars()
        for digest in re.findall(rf'"sha256":\s*"({SHA256_PATTERN})"', plan)
    }
