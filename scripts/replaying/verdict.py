"""Did the replayed agent do what the recorded one did? No I/O here.

Compared are the boot's own requests, in order and field by field, its decisions step by step, its events, and what the kernel
was asked. Not compared are times, clocks and progress; ids, nonces, tokens and digests stand for each other (aliases.py).
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest

from bootpilot_agent.events import EventName
from bootpilot_agent.fields import Json
from bootpilot_agent.recording_lines import EventLine, KexecLine
from scripts.replaying.json_difference import NOTHING, first_difference
from scripts.replaying.performed import Performed, told_events, without_progress
from scripts.replaying.rows import TALK, Met, is_compared, row_of_exchange, used_way
from scripts.replaying.tape import Ending, Exchange, Kind, Tape, as_object

# Fields of the report that no two boots have alike.
NOT_COMPARED = {
    "clock.unix_s": "another time of day",
    "agent.version": "the replayed agent is that of this checkout",
}
# Headers whose value has to be the same, and those that only have to be there, or not.
SAME_HEADERS = ("content-type", "accept-encoding")
SAME_PRESENCE = ("authorization", "range", "if-range")
SHOWN = 300


class Answer(StrEnum):
    """What a replay can say."""

    SAME = "same"
    RECOVERED = "recovered"  # with a fault laid over: it came to the same end all the same
    DIFFERS = "differs"
    NOT_REPLAYABLE = "not replayable"


EXIT_CODES = {Answer.SAME: 0, Answer.RECOVERED: 0, Answer.DIFFERS: 1, Answer.NOT_REPLAYABLE: 2}


@dataclass(frozen=True)
class Difference:
    """`where` is a phrase for a person; the other two are what the recording has there, and what the replay had."""

    where: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.where}\n  recorded: {self.expected}\n  replayed: {self.got}"


@dataclass(frozen=True)
class Verdict:
    """`differences`: the first one first. `compared` counts what was looked at; `notes` is what was not compared, and why."""

    answer: Answer
    differences: tuple[Difference, ...] = ()
    compared: str = ""
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.answer]

    def to_json(self) -> dict[str, Json]:
        rows: list[Json] = [{"where": one.where, "recorded": one.expected, "replayed": one.got} for one in self.differences]
        return {"verdict": self.answer, "differences": rows, "compared": self.compared, "notes": list(self.notes)}


def judge(tape: Tape, performed: Performed) -> Verdict:
    """The verdict on one replay. With a fault laid over there is no "same": whether it came to the same end counts."""
    differences = [
        *request_differences(tape, performed),
        *step_differences(tape, performed),
        *event_differences(tape, performed),
        *kexec_differences(tape, performed),
        *end_differences(tape, performed),
    ]
    answer = Answer.DIFFERS if differences else Answer.SAME
    if any(met.spoilt for met in performed.met):
        answer = Answer.RECOVERED if came_to_the_same_end(tape, performed) else Answer.DIFFERS
    return Verdict(answer, tuple(differences), _counts(performed), _notes(tape, performed))


def came_to_the_same_end(tape: Tape, performed: Performed) -> bool:
    """The same kernel with the same words, or a failure told where the recorded boot failed."""
    if any(kexec_differences(tape, performed)) or any(end_differences(tape, performed)):
        return False
    has_failed = any(event.name == EventName.FAILED for event in performed.events)
    return has_failed is (tape.ending is Ending.FAILURE)


def request_differences(tape: Tape, performed: Performed) -> Iterator[Difference]:
    """In the order in which the replay asked; then what it never asked."""
    used, number = used_way(tape), 0
    for met in performed.met:
        if met.row not in (TALK, used):
            if met.recorded is not None:
                yield from _compare_headers(f"{met.asked.method} {met.url}", met, met.recorded)
            continue
        number += 1
        name = f"request {number}, {met.asked.method} {met.url}"
        if met.spoilt:
            yield Difference(name, "answered as it was", "spoilt by the fault")
        elif met.recorded is not None:
            yield from _compare(name, met, met.recorded, performed)
        elif not goes_beyond(tape, performed):
            yield Difference(f"{name}: the recorded boot did not ask this", NOTHING, f"{met.asked.method} {met.url}")
    for exchange in performed.left:
        if row_of_exchange(exchange) in (TALK, used):
            yield Difference(f"a request that the recorded boot made is missing: {_name(exchange)}", _name(exchange), NOTHING)


def goes_beyond(tape: Tape, performed: Performed) -> bool:
    """Did the replay do all that is on a tape that ends in the middle of the boot? What it does then is no difference."""
    is_part = bool(tape.until) or tape.ending is Ending.OPEN
    return is_part and not any(row_of_exchange(exchange) == TALK for exchange in performed.left)


def step_differences(tape: Tape, performed: Performed) -> Iterator[Difference]:
    """The decisions: which step, what it came to, how it failed."""
    if performed.steps is None or "step" in tape.dropped:
        return
    expected = [_shown_step(step.name, step.error, step.decided, performed.loose) for step in tape.steps]
    got = [_shown_step(step.name, step.error, step.decided, performed.loose) for step in performed.steps]
    # The recording ends within its last step: what that came to is not in it.
    if tape.steps and tape.steps[-1].over_ms is None and len(got) >= len(expected):
        got[len(expected) - 1] = got[len(expected) - 1].partition(":")[0]
    got = got[: len(expected)] if len(expected) and tape.steps[-1].over_ms is None else got
    yield from _row_differences("step", expected, got)


def event_differences(tape: Tape, performed: Performed) -> Iterator[Difference]:
    """The events, in their own order; where the runner only hears what is sent, those that were sent."""
    recorded: Iterable[EventLine] = tape.events
    if performed.steps is None:
        bodies = (as_object(one.line.body.content) for one in tape.exchanges if one.kind is Kind.EVENTS)
        recorded = told_events(bodies)
    expected = [_shown_event(event, performed.loose) for event in without_progress(recorded)]
    got = [_shown_event(event, performed.loose) for event in without_progress(performed.events)]
    if performed.steps is None and tape.until:
        # What was not sent by then waits in the journal.
        least = min(len(expected), len(got))
        expected, got = expected[:least], got[:least]
    yield from _row_differences("event", expected, got)


def kexec_differences(tape: Tape, performed: Performed) -> Iterator[Difference]:
    """The command line word by word, and each file by its digest. The jump itself comes after the recording was made."""
    expected = [line for line in tape.kexecs if line.call == "load"]
    got = [line for line in performed.kexecs if line.call == "load"]
    for number, (before, now) in enumerate(zip(expected, got, strict=False), start=1):
        yield from _kexec_difference(f"kexec call {number}", before, now)
    if len(expected) != len(got):
        yield Difference("the number of kexec calls", str(len(expected)), str(len(got)))


def end_differences(tape: Tape, performed: Performed) -> Iterator[Difference]:
    """A boot that was handed over has jumped: its recording was sent a moment before, and came."""
    if tape.ending is Ending.JUMP and tape.until in ("", "jump") and not performed.jumped:
        yield Difference("the end of the boot", "the jump into the next kernel", performed.how)


def _compare(name: str, met: Met, recorded: Exchange, performed: Performed) -> Iterator[Difference]:
    yield from _compare_headers(name, met, recorded)
    if met.asked.kind is Kind.PLAN:
        ignored = {**NOT_COMPARED, **performed.blind}
        if found := first_difference(as_object(recorded.line.body.content), met.body, ignored):
            yield Difference(f"{name}, field {found[0]}", _shown(found[1]), _shown(found[2]))


def _compare_headers(name: str, met: Met, exchange: Exchange) -> Iterator[Difference]:
    recorded = {key.lower(): value for key, value in exchange.line.headers.items()}
    for header in SAME_HEADERS:
        if recorded.get(header) != met.asked.headers.get(header):
            yield Difference(f"{name}, header {header}", _shown(recorded.get(header)), _shown(met.asked.headers.get(header)))
    for header in SAME_PRESENCE:
        if (header in recorded) != (header in met.asked.headers):
            yield Difference(f"{name}, header {header}", _there(header in recorded), _there(header in met.asked.headers))


def _kexec_difference(name: str, before: KexecLine, now: KexecLine) -> Iterator[Difference]:
    words, others = before.command_line.split(), now.command_line.split()
    for number, (one, other) in enumerate(zip_longest(words, others, fillvalue=NOTHING), start=1):
        if one != other:
            yield Difference(f"{name}, word {number} of the command line", one, other)
            break
    # A tree that is made into the board's own has no digest in the plan, and neither have the overlays in it.
    for role in {**before.digests, **now.digests}:
        if role.startswith("overlay") or (role == "dtb" and role not in now.digests):
            continue
        if before.digests.get(role) != now.digests.get(role):
            yield Difference(f"{name}, {role}", before.digests.get(role, NOTHING), now.digests.get(role, NOTHING))


def _row_differences(what: str, expected: list[str], got: list[str]) -> Iterator[Difference]:
    """The first place where two rows part."""
    for number in range(max(len(expected), len(got))):
        one = expected[number] if number < len(expected) else NOTHING
        other = got[number] if number < len(got) else NOTHING
        if one != other:
            yield Difference(f"{what} {number + 1}", one, other)
            return


def _counts(performed: Performed) -> str:
    steps = "" if performed.steps is None else f"{len(performed.steps)} steps, "
    requests = sum(1 for met in performed.met if is_compared(met.row))
    return f"{requests} requests, {len(performed.events)} events, {steps}{len(performed.kexecs)} kexec calls"


def _notes(tape: Tape, performed: Performed) -> tuple[str, ...]:
    lost = [f"{row.lines} lines of {kind} are not in the recording" for kind, row in sorted(tape.dropped.items()) if row.lines]
    blind = [f"{name} was not compared: {reason}" for name, reason in performed.blind.items()]
    return (*lost, *blind, *performed.notes)


def _shown_step(name: str, error: str, decided: str, loose: bool) -> str:
    failed = error.partition(":")[0] if loose else error
    return name + (f": failed at {failed}" if failed else "") + (f": {decided}" if decided else "")


def _shown_event(event: EventLine, loose: bool) -> str:
    data = {key: value for key, value in event.data.items() if not (loose and key in ("message", "hint"))}
    return f"{event.name} {json.dumps(data, sort_keys=True)}" if data else event.name


def _name(exchange: Exchange) -> str:
    return f"{exchange.line.method} {exchange.line.url}"


def _shown(value: Json) -> str:
    text = NOTHING if value is None or value == NOTHING else json.dumps(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _there(present: bool) -> str:
    return "there" if present else NOTHING
