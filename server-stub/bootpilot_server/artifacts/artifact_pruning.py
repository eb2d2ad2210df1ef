"""Which artifacts nobody needs any more, and their removal.

Needed is what the revision in force names, profiles and newer loaders alike (rollouts and nodes name profiles of it); what the
revisions name that a rollback may return to; what the plans of the last days name; and what was stored in the last days: an
artifact is added before the profile that names it is applied. All of it is looked up and removed in one writer's transaction.
Plans and revisions are made in such transactions too, and look there that what they name is there still: so neither ever names
a file that goes at that moment.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from sqlalchemy import Connection, select

from bootpilot_agent.plan import SHA256_PATTERN
from bootpilot_server.errors import OperatorError
from bootpilot_server.server import Server
from bootpilot_server.site_folder.profiles import MAX_DEADLINE_S
from bootpilot_server.site_folder.revision import read_revision
from bootpilot_server.store import revision_records
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


@dataclass(frozen=True)
class Sorted:
    """What may go, and of the rest how many are kept for which reason; the first reason counts."""

    unneeded: tuple[Unneeded, ...]
    kept: Mapping[str, int]


def prune(server: Server, now: float, *, remove: bool) -> Sorted:
    """What nobody needs, in order; with `remove` it is gone afterwards. Raises HomeError."""
    with server.database.writing() as connection:
        stored = server.artifacts.describe(server.artifacts.digests())
        left, kept = set(stored), dict[str, int]()
        for reason, digests in _needed(server, connection, left, now):
            kept[reason] = len(left & digests)
            left -= digests
        names = {row.sha256: row.name for row in connection.execute(select(artifacts))}
        found = tuple(Unneeded(sha256, stored[sha256].size_bytes, names.get(sha256, "")) for sha256 in sorted(left))
        if remove:
            _remove(server, connection, sorted(left))
    return Sorted(found, kept)


def _needed(server: Server, connection: Connection, stored: Set[str], now: float) -> Iterator[tuple[str, Set[str]]]:
    """Each reason to keep an artifact, with all that it keeps."""
    yield "named by the revision in force", _named_in_force(server, connection).keys()
    targets = revision_records.last_texts(connection, server.config.keep.artifact_revisions)
    yield "named by a revision that a rollback may return to", set(re.findall(SHA256_PATTERN, " ".join(targets)))
    yield "named by a plan of the last days", _named_by_plans(connection, now - KEPT_S)
    yield "added in the last days", {name for name in stored if server.artifacts.stored_at(name) >= now - KEPT_S}


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
    named = {
        digest
        for query in (recent, answered)
        for plan in connection.execute(query).scalars()
        for digest in re.findall(rf'"sha256":\s*"({SHA256_PATTERN})"', plan)
    }
    return named | _named_by_orders(connection, since)


def _named_by_orders(connection: Connection, since: float) -> set[str]:
    """Images of installs since then. The order that names one is a file of the plan, and may hold secrets: so it is the profile
    that is asked, as it stood in the revision of the plan.
    """
    begun = select(boots.c.revision, boots.c.profile).where(boots.c.planned_at >= since, boots.c.installs != "").distinct()
    named: set[str] = set()
    for number, name in connection.execute(begun).all():
        texts = revision_records.read_texts(connection, number) or {}
        profile = read_revision(texts)[0].profiles.get(name)
        named |= {ref.sha256 for ref in profile.artifacts} if profile else set()
    return named
