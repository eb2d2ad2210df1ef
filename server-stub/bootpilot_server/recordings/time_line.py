"""A recording as a time line that a person reads: steps, addresses, requests, decisions, what failed. No I/O here.

Texts come from boards and from whoever answered them; whoever shows a row makes it one harmless line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bootpilot_agent.dhcp import NOT_TAKEN, parse_event, parse_offer
from bootpilot_agent.errors import NetworkError
from bootpilot_agent.recorded_http import HttpLine
from bootpilot_agent.recording import Recording, Timed
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
    UeventLine,
)
from bootpilot_server.deciding.moments import moment
from bootpilot_server.recordings.clock import MOST_S

# Kinds that come by the hundred: told in numbers, unless all is asked for.
COUNTED = {
    FileLine: "files read",
    BlocksLine: "pieces of disks read",
    UeventLine: "devices that came or went",
    SayLine: "lines said",
}
# The agent's own words for what led to a failure.
FAILED = "failed"


@dataclass(frozen=True)
class Row:
    """One line of it. `at_ms` counts from the begin of the boot, and is negative for what an earlier boot read."""

    t_ms: int
    at_ms: int
    kind: str
    text: str
    failed: bool = False


def time_line(recording: Recording, *, everything: bool = False) -> list[Row]:
    """In the order of time (an exchange is taken down when it is over); of what comes by the hundred only with `everything`."""
    ended = {timed.line.name for timed in recording.lines if isinstance(timed.line, StepLine) and timed.line.ms is not None}
    return [
        Row(timed.t_ms, timed.t_ms - recording.header.started_ms, timed.line.kind, text, failed)
        for timed in sorted(recording.lines, key=lambda timed: timed.t_ms)
        for text, failed in _tell(timed, ended, everything)
    ]


def summary(recording: Recording) -> list[str]:
    """What is in it besides the rows: numbers of what is not told one by one, and what had to be left out."""
    counts = {words: sum(type(timed.line) is kind for timed in recording.lines) for kind, words in COUNTED.items()}
    told = ", ".join(f"{count} {words}" for words, count in counts.items() if count)
    dropped = ", ".join(f"{row.lines} of {kind!r} ({row.size_bytes} bytes)" for kind, row in recording.dropped.items())
    return [*([f"also in it: {told}"] if told else []), *([f"left out, because it was too much: {dropped}"] if dropped else [])]


def _tell(timed: Timed, ended: set[str], everything: bool) -> Iterator[tuple[str, bool]]:
    line = timed.line
    if type(line) in COUNTED and not everything:
        return
    # The end of a step says what its begin would; a step without an end is where the boot hung.
    if isinstance(line, StepLine) and line.ms is None and line.name in ended and not everything:
        return
    if isinstance(line, RunLine) and line.returncode == 0 and not everything:
        return
    yield describe(line), is_failure(line)


def is_failure(line: Line) -> bool:
    """Does a person who looks for what went wrong want to see this first?"""
    match line:
        case HttpLine():
            return bool(line.error) or line.status is None or line.status >= 400
        case StepLine():
            return bool(line.error)
        case RunLine():
            return line.returncode != 0
        case EventLine():
            return line.name == FAILED
    return False


def describe(line: Line) -> str:
    """One line of text for one line of a recording."""
    match line:
        case HttpLine():
            return _exchange(line)
        case DhcpLine():
            return f"{line.interface}: {_lease(line.text)}"
        case StepLine():
            return _step(line)
        case EventLine():
            return f"{line.name} {_pairs(dict(line.data))}".rstrip()
        case KexecLine():
            digests = _pairs({name: digest[:12] for name, digest in line.digests.items()})
            return f"{line.call} {digests} {line.command_line}".rstrip()
        case RunLine():
            result = "did not end" if line.returncode is None else f"exit code {line.returncode}"
            return f"{' '.join(line.argv)}: {result} {(line.stderr or line.stdout).strip()}".rstrip()
        case ClockLine():
            return f"the wall clock {'was set to' if line.corrected else 'says'} {_date(line.real_s)}"
    return _material(line)


def _material(line: Line) -> str:
    match line:
        case FileLine():
            return f"{line.path} ({line.what})" + (f" {len(line.content)} bytes" if line.content else "")
        case BlocksLine():
            return f"{line.disk}: {len(line.content)} bytes at {line.offset}"
        case UeventLine():
            return _pairs(dict(line.properties))
        case SayLine():
            return line.text
    return line.kind


def _exchange(line: HttpLine) -> str:
    """GET http://…: 200, 31457280 bytes in 2.812 s (eth0, connection 3)."""
    size = line.answer.size_bytes
    result = f"{line.status}, {size} bytes" if line.status is not None else "no answer"
    plan = _plan_in(line)
    way = f"{line.interface + ', ' if line.interface else ''}connection {line.connection}"
    trouble = f": {line.error}" if line.error else ""
    return f"{line.method} {line.url}: {result} in {line.ms / 1000:.3f} s{plan} ({way}){trouble}"


def _plan_in(line: HttpLine) -> str:
    """What a plan says to do, in one word."""
    if not line.url.endswith("/v1/boot") or line.status != 200 or not line.answer.content:
        return ""
    found = re.search(rb'"action"\s*:\s*"([a-z]{1,16})"', line.answer.content)
    return f", plan {found[1].decode()}" if found else ", no plan"


def _lease(dump: str) -> str:
    try:
        event = parse_event(dump.encode("latin-1", "replace"))
        if not event.has_lease and event.name != NOT_TAKEN:
            return event.name
        offer = parse_offer(event)
    except NetworkError as error:
        return error.message
    name = "not taken:" if event.name == NOT_TAKEN else event.name
    more = {
        "router": offer.gateway,
        "dns": " ".join(offer.dns),
        "server": offer.server,
        "boot server": " ".join(offer.server_urls),
    }
    return ", ".join(
        [f"{name} {offer.address} for {offer.lease_s} s", *(f"{key} {value}" for key, value in more.items() if value)]
    )


def _step(line: StepLine) -> str:
    if line.ms is None:
        return f"{line.name} …"
    return f"{line.name} in {line.ms / 1000:.3f} s" + (
        f": {line.error}" if line.error else f": {line.decided}" if line.decided else ""
    )


def _date(real_s: int | None) -> str:
    return moment(real_s) if real_s is not None and 0 <= real_s < MOST_S else f"no date ({real_s})"


def _pairs(values: dict[str, object]) -> str:
    return " ".join(f"{key}={value}" for key, value in values.items())
