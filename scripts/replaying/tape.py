"""A recording in the terms of the boot: what the board was, what its network said, what was asked and done. No I/O here.

Times are milliseconds since the boot began; what was read before (by an earlier try of the same agent) has negative ones.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import urlsplit

from bootpilot_agent.fields import Json
from bootpilot_agent.recorded_http import HttpLine
from bootpilot_agent.recording import Header
from bootpilot_agent.recording_lines import (
    BlocksLine,
    DhcpLine,
    EventLine,
    FileLine,
    KexecLine,
    RunLine,
)
from bootpilot_agent.recording_room import Dropped
from scripts.replaying.errors import ReplayError


class Kind(StrEnum):
    """What a request is for."""

    HELLO = "hello"
    PLAN = "plan"
    ARTIFACT = "artifact"
    EVENTS = "events"
    LOG = "log"
    RECORDING = "recording"
    OTHER = "other"


KINDS = (
    ("GET", r".*/v1/", Kind.HELLO),
    ("POST", r".*/v1/boot", Kind.PLAN),
    ("POST", r".*/v1/boots/[^/]+/events", Kind.EVENTS),
    ("POST", r".*/v1/boots/[^/]+/log", Kind.LOG),
    ("PUT", r".*/v1/boots/[^/]+/recording", Kind.RECORDING),
    ("GET", r".*", Kind.ARTIFACT),
)


class Ending(StrEnum):
    """How far the recording goes."""

    JUMP = "jump"
    FAILURE = "failure"
    OPEN = "open"  # it was made in the middle of a boot


@dataclass(frozen=True)
class At:
    """When, in milliseconds since the boot began, and the how-manieth line of the recording it is."""

    at_ms: int
    number: int


@dataclass(frozen=True)
class Exchange(At):
    """A recorded request and what came of it."""

    line: HttpLine

    @property
    def kind(self) -> Kind:
        return kind_of(self.line.method, self.line.url)

    @property
    def over_ms(self) -> int:
        return self.at_ms + self.line.ms


@dataclass(frozen=True)
class Reading(At):
    """What was read at a path."""

    line: FileLine


@dataclass(frozen=True)
class Dump(At):
    """What a DHCP client's hook left."""

    line: DhcpLine


@dataclass(frozen=True)
class Happened(At):
    """An event."""

    line: EventLine


@dataclass(frozen=True)
class Step(At):
    """A step of the boot, from its beginning to its end; `over_ms` is None where the recording ends within it."""

    name: str
    over_ms: int | None = None
    over_number: int | None = None
    error: str = ""
    decided: str = ""

    def unfinished(self) -> "Step":
        return Step(self.at_ms, self.number, self.name)


@dataclass(frozen=True)
class Tape:
    """The boot as it was. `places`: the line in which each step or event came first. `until`: the one it was cut at, or ""."""

    header: Header
    exchanges: tuple[Exchange, ...]
    readings: tuple[Reading, ...]
    blocks: tuple[BlocksLine, ...]
    dumps: tuple[Dump, ...]
    programs: tuple[RunLine, ...]
    happened: tuple[Happened, ...]
    steps: tuple[Step, ...]
    kexecs: tuple[KexecLine, ...]
    said: tuple[str, ...]
    real_s: int | None
    ended_ms: int
    dropped: Mapping[str, Dropped]
    places: Mapping[str, int]
    until: str = ""
    raw: bytes = field(default=b"", repr=False)

    @property
    def events(self) -> tuple[EventLine, ...]:
        return tuple(one.line for one in self.happened)

    @property
    def arch(self) -> str:
        return self.header.arch

    @property
    def plans(self) -> list[Exchange]:
        return [one for one in self.exchanges if one.kind is Kind.PLAN]

    @property
    def report(self) -> dict[str, Json]:
        """The first report; {} where the boot did not come so far."""
        return next((body for one in self.plans if (body := as_object(one.line.body.content))), {})

    @property
    def ending(self) -> Ending:
        names = {step.name for step in self.steps} | {event.name for event in self.events}
        if not names.isdisjoint(("tell_failure", "failed")):
            return Ending.FAILURE
        return Ending.OPEN if names.isdisjoint(("hand_over", "handover")) else Ending.JUMP

    def cut(self, until: str) -> "Tape":
        """The same boot up to the first time that this step or event is reached. Raises ReplayError."""
        if until not in self.places:
            known = ", ".join(sorted(self.places, key=lambda name: self.places[name]))
            raise ReplayError(f"the recorded boot never came to {until!r}", f"it came to: {known}")
        end = self.places[until]
        steps = [step for step in self.steps if step.number <= end]
        return replace(
            self,
            exchanges=tuple(one for one in self.exchanges if one.number < end),
            happened=tuple(one for one in self.happened if one.number <= end),
            steps=tuple(step if (step.over_number or end) < end else step.unfinished() for step in steps),
            kexecs=tuple(line for line in self.kexecs if line.call == "load" and self.places["kexec-load"] <= end),
            until=until,
        )


def kind_of(method: str, url: str) -> Kind:
    """What a request is for, by its method and path."""
    path = urlsplit(url).path
    return next((kind for verb, pattern, kind in KINDS if verb == method and re.fullmatch(pattern, path)), Kind.OTHER)


def as_object(content: bytes | None) -> dict[str, Json]:
    """JSON that is an object; {} for all else."""
    try:
        value: Json = json.loads(content or b"")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
