"""What the replayed agent did, in the recorded boot's terms. No I/O here."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bootpilot_agent.events import EventName, Source
from bootpilot_agent.fields import Json
from bootpilot_agent.recording_lines import EventLine, KexecLine
from scripts.replaying.aliases import Aliases
from scripts.replaying.rows import Met
from scripts.replaying.script import Script
from scripts.replaying.stand_ins import StandIn
from scripts.replaying.tape import Exchange, Kind, Tape, as_object

PADDING = 4


@dataclass(frozen=True)
class Done:
    """A step of the agent's and what it came to."""

    name: str
    error: str = ""
    decided: str = ""


@dataclass(frozen=True)
class Performed:
    """`steps` is None where the runner cannot see them. `blind`: field of the report -> why this runner cannot feed it.

    `loose`: errors are those of other sockets, so that only their stage can be compared. `how` says how the replay ended;
    `jumped`: was that the jump into the next kernel?
    """

    met: tuple[Met, ...]
    left: tuple[Exchange, ...]
    events: tuple[EventLine, ...]
    kexecs: tuple[KexecLine, ...]
    how: str
    jumped: bool
    console: str = ""
    steps: tuple[Done, ...] | None = None
    blind: Mapping[str, str] = field(default_factory=dict)
    loose: bool = False
    notes: tuple[str, ...] = ()


def told_events(bodies: Iterable[Json]) -> list[EventLine]:
    """What the agent said in the bodies of its requests for events: each once, in the order of its own numbers."""
    found: dict[int, EventLine] = {}
    for body in bodies:
        rows = body.get("events") if isinstance(body, dict) else None
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict) and row.get("source") == Source.AGENT and isinstance(row.get("seq"), int):
                data = row.get("data")
                found[int(str(row["seq"]))] = EventLine(str(row.get("name")), data if isinstance(data, dict) else {})
    return [found[number] for number in sorted(found)]


def told_to(script: Script) -> list[EventLine]:
    """The same as this script's server heard them."""
    return told_events(met.body for met in script.met if met.row == (Kind.EVENTS,))


def without_progress(events: Iterable[EventLine]) -> list[EventLine]:
    """How far a download is by then depends on the clock."""
    return [event for event in events if event.name != EventName.FETCHING]


def read_load(command_line: str, kernel: bytes, initrd: bytes, dtb: bytes | None, script: Script) -> KexecLine:
    """What kexec was given, as the recording says it: each file of the plan found again by its bytes has its recorded digest.

    The initrd file is all initrds, each padded to 4 bytes, and the agent's own archive; what is not there has no digest.
    """
    digests = {"kernel": _recorded_digest(kernel, script.aliases)}
    position = 0
    for one in initrds_of(script.stand_ins):
        if initrd[position : position + len(one.content)] == one.content:
            digests[one.role] = one.recorded
        position += len(one.content) + -len(one.content) % PADDING
    if dtb is not None and any(one.role == "dtb" for one in script.stand_ins) and not has_fixups(script.tape):
        digests["dtb"] = _recorded_digest(dtb, script.aliases)
    return KexecLine("load", command_line, digests)


def initrds_of(stand_ins: Iterable[StandIn]) -> list[StandIn]:
    """In the order in which they stand in the plan."""
    return [one for one in stand_ins if one.role.startswith("initrd")]


def has_fixups(tape: Tape) -> bool:
    """Is the plan's tree made into this board's own before it is given to the kernel?"""
    boots = [as_object(one.line.answer.content).get("boot") for one in tape.plans]
    return any(isinstance(boot, dict) and "file+fixups" in str(boot.get("dtb")) for boot in boots)


def _recorded_digest(content: bytes, aliases: Aliases) -> str:
    return aliases.back(hashlib.sha256(content).hexdigest())
