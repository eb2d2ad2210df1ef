"""Reads a recording as a tape. No I/O here. What a replay cannot do without, and is not in the file, is said."""

from dataclasses import replace
from typing import TypeVar

from bootpilot_agent import recording
from bootpilot_agent.fields import FieldError
from bootpilot_agent.node_report import ARCHITECTURES
from bootpilot_agent.recorded_http import HttpLine
from bootpilot_agent.recording import Recording
from bootpilot_agent.recording_lines import (
    BlocksLine,
    ClockLine,
    DhcpLine,
    EventLine,
    FileLine,
    KexecLine,
    Line,
    RunLine,
    SayLine,
    StepLine,
)
from scripts.replaying.errors import ReplayError
from scripts.replaying.tape import Dump, Exchange, Happened, Reading, Step, Tape

L = TypeVar("L", bound=Line)
# What no replay can do without, and why. Of the other kinds, what is left is used.
NEEDED = {
    "http": "the requests are what is compared",
    "file": "the board is made of the files that were read",
    "blocks": "the board's disks are made of what was read of them",
    "kexec": "what it all led to is compared",
    "any": "nobody knows what is missing",
}


def read_tape(raw: bytes) -> Tape:
    """A file from anywhere -> tape. Raises ReplayError, also for a recording that lacks what a replay needs."""
    try:
        found = recording.read(raw)
    except FieldError as error:
        raise ReplayError(
            f"this is no recording that can be read: {error}", "scripts/bootpilot recording export BOOT"
        ) from error
    return replace(make_tape(found), raw=raw)


def make_tape(found: Recording) -> Tape:
    """Raises ReplayError where the recording lacks what a replay needs."""
    for kind, reason in NEEDED.items():
        if (lost := found.dropped.get(kind)) and lost.lines:
            raise ReplayError(
                f"{lost.lines} lines of the kind {kind!r} did not fit into this recording, and {reason}",
                "a boot that was tried for days fills its recording; take one of a shorter boot",
            )
    if found.header.arch not in ARCHITECTURES:
        raise ReplayError(f"recorded on {found.header.arch!a}, which is none of {', '.join(ARCHITECTURES)}")
    if not found.lines:
        raise ReplayError("there is nothing in this recording")
    tape = Tape(
        header=found.header,
        exchanges=tuple(Exchange(at, number, line) for at, number, line in _of(found, HttpLine)),
        readings=tuple(Reading(at, number, line) for at, number, line in _of(found, FileLine)),
        blocks=tuple(line for _, _, line in _of(found, BlocksLine)),
        dumps=tuple(Dump(at, number, line) for at, number, line in _of(found, DhcpLine)),
        programs=tuple(line for _, _, line in _of(found, RunLine)),
        happened=tuple(Happened(at, number, line) for at, number, line in _of(found, EventLine)),
        steps=tuple(_steps(found)),
        kexecs=tuple(line for _, _, line in _of(found, KexecLine)),
        said=tuple(line.text for _, _, line in _of(found, SayLine)),
        real_s=next((line.real_s for _, _, line in _of(found, ClockLine)), None),
        ended_ms=found.ended_ms - found.header.started_ms,
        dropped=found.dropped,
        places=_places(found),
    )
    return _check(tape)


def _check(tape: Tape) -> Tape:
    for one in tape.plans:
        if one.line.body.content is None:
            raise ReplayError("the report is too large to be kept in a recording, so nothing can be compared with it")
        if one.line.answer.content is None and one.line.status == 200 and not one.line.error:
            raise ReplayError("the plan is too large to be kept in a recording, so there is none to give to the agent")
    return tape


def _of(found: Recording, kind: type[L]) -> list[tuple[int, int, L]]:
    started_ms = found.header.started_ms
    return [
        (timed.t_ms - started_ms, number, timed.line)
        for number, timed in enumerate(found.lines)
        if isinstance(timed.line, kind)
    ]


def _steps(found: Recording) -> list[Step]:
    steps: list[Step] = []
    for at_ms, line_number, line in _of(found, StepLine):
        if line.ms is None:
            steps.append(Step(at_ms, line_number, line.name))
            continue
        # Steps do not lie in each other; the end belongs to the last of that name.
        for number in range(len(steps) - 1, -1, -1):
            if steps[number].name == line.name and steps[number].over_ms is None:
                begun = steps[number]
                steps[number] = Step(begun.at_ms, begun.number, line.name, at_ms, line_number, line.error, line.decided)
                break
    return steps


def _places(found: Recording) -> dict[str, int]:
    """The line in which each step began, and each event happened, for the first time."""
    places: dict[str, int] = {}
    for number, timed in enumerate(found.lines):
        if isinstance(timed.line, EventLine) or (isinstance(timed.line, StepLine) and timed.line.ms is None):
            places.setdefault(timed.line.name, number)
        elif isinstance(timed.line, KexecLine):
            places.setdefault(f"kexec-{timed.line.call}", number)
    return places
