"""Finds the boot server: asks every server over every lease at once, and takes the first that answers as one.

Owns the probe threads. A dead or lying interface costs nothing but its own thread; what does not answer is asked again with
growing, jittered waits, and a lease that comes later is asked at once.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bootpilot_agent.deadline import Chance, Clock, Deadline, growing_waits
from bootpilot_agent.errors import AgentError, NetworkError
from bootpilot_agent.fields import FieldError, Fields
from bootpilot_agent.network import Candidate
from bootpilot_agent.plan import VERSION, problem_detail
from bootpilot_agent.settings import DHCP, Settings
from bootpilot_agent.transport import Answer, Route, Transport

PROBE_S = 15.0
FIRST_WAIT_S = 1.0
MOST_WAIT_S = 30.0
SAY_EVERY_S = 60.0
# Where the last try failed, others get this much of a head start for each failure.
BLAME_S = 2.0
MOST_BLAME = 5


@dataclass(frozen=True)
class Way:
    """One server over one lease. `source` says who named the server."""

    candidate: Candidate
    server: str
    source: str

    def __str__(self) -> str:
        lease = self.candidate.lease
        return f"{self.server} over {lease.interface} ({lease.address})"


@dataclass(frozen=True)
class Found:
    """A way that answered, and the open connection to it."""

    way: Way
    transport: Transport


@dataclass
class _Probing:
    """How it stands with one way."""

    next_at_s: float
    waits: Iterator[float]
    running: bool = False
    failure: str = ""


@dataclass
class Search:
    """Looks for a server as often as the boot is tried; remembers over which ways the last tries failed."""

    settings: Settings
    ca_file: str
    say: Callable[[str], None]
    chance: Chance
    clock: Clock = time.monotonic
    _blamed: dict[Way, int] = field(default_factory=dict)

    def blame(self, way: Way) -> None:
        """The try over this way failed: next time others are asked first."""
        self._blamed[way] = min(self._blamed.get(way, 0) + 1, MOST_BLAME)

    def find(
        self, candidates: Callable[[], tuple[Candidate, ...]], idle: Callable[[float], object], deadline: Deadline
    ) -> Found:
        """Ask until one answers. `idle(seconds)` waits for news from the network. Raises NetworkError at the deadline."""
        probes: dict[Way, _Probing] = {}
        results: queue.SimpleQueue[tuple[Way, Found | AgentError]] = queue.SimpleQueue()
        say_at_s = self.clock() + SAY_EVERY_S
        while not deadline.passed():
            self._add_new(probes, ways(candidates(), self.settings))
            self._start_due(probes, results)
            found = self._take(probes, results, idle)
            if found is not None:
                return found
            if self.clock() >= say_at_s:
                say_at_s += SAY_EVERY_S
                self.say(f"still looking for a boot server: {self._describe(probes)}")
        raise NetworkError(f"no boot server: {self._describe(probes)}", self._hint(probes))

    def _add_new(self, probes: dict[Way, _Probing], current: list[Way]) -> None:
        for way in current:
            if way not in probes:
                head_start_s = self._blamed.get(way, 0) * BLAME_S
                waits = growing_waits(FIRST_WAIT_S, MOST_WAIT_S, self.chance)
                probes[way] = _Probing(self.clock() + head_start_s, waits)
        for gone in [way for way in probes if way not in current]:
            del probes[gone]

    def _start_due(self, probes: dict[Way, _Probing], results: "queue.SimpleQueue[tuple[Way, Found | AgentError]]") -> None:
        for way, probing in probes.items():
            if not probing.running and self.clock() >= probing.next_at_s:
                probing.running = True
                route = Route(way.candidate.lease.interface, way.candidate.lease.dns, self.ca_file)
                threading.Thread(target=_probe, args=(way, route, results), name=f"probe {way}", daemon=True).start()

    def _take(
        self,
        probes: dict[Way, _Probing],
        results: "queue.SimpleQueue[tuple[Way, Found | AgentError]]",
        idle: Callable[[float], object],
    ) -> Found | None:
        """Wait a little for an answer (or for a lease, if nothing is under way); the first good one."""
        running = any(probing.running for probing in probes.values())
        idle(0.0 if running else 0.2)
        try:
            way, result = results.get(timeout=0.1 if running else 0)
        except queue.Empty:
            return None
        if isinstance(result, Found):
            return result
        if way in probes:
            probing = probes[way]
            probing.running = False
            probing.next_at_s = self.clock() + next(probing.waits)
            if result.message != probing.failure:
                probing.failure = result.message
                self.say(f"no answer from {way}: {result.message}" + (f"\n  hint: {result.hint}" if result.hint else ""))
        return None

    def _describe(self, probes: dict[Way, _Probing]) -> str:
        if not probes:
            return "no lease yet" if self.settings.servers else "no lease with a boot server yet"
        return "; ".join(f"{way}: {probing.failure or 'no answer yet'}" for way, probing in probes.items())

    def _hint(self, probes: dict[Way, _Probing]) -> str:
        if probes:
            return "is the server running, and may this network reach it?"
        if self.settings.servers:
            return "is the cable plugged in, and is there a DHCP server? A static address can be set in bootpilot.txt"
        return "name one as `server` in bootpilot.txt, or give DHCP option 224 with its URL"


def ways(candidates: tuple[Candidate, ...], settings: Settings) -> list[Way]:
    """Every server over every lease. Servers named on the command line or the card shut out those of DHCP."""
    if settings.servers:
        return [Way(candidate, url, settings.server_source) for candidate in candidates for url in settings.servers]
    return [Way(candidate, url, DHCP) for candidate in candidates for url in candidate.server_urls]


def _probe(way: Way, route: Route, results: "queue.SimpleQueue[tuple[Way, Found | AgentError]]") -> None:
    transport = Transport(route)
    try:
        check_hello(transport.ask("GET", f"{way.server}/v1/", deadline=Deadline.after(PROBE_S)))
    except AgentError as error:
        transport.close()
        results.put((way, error))
    except Exception as error:
        transport.close()
        results.put((way, AgentError(f"{type(error).__name__}: {error}")))
    else:
        results.put((way, Found(way, transport)))


def check_hello(answer: Answer) -> None:
    """Is this a boot server? Version-1 JSON or a problem document says so. Raises NetworkError that says what it is."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/problem+json" and problem_detail(answer.body) is not None:
        return
    if 300 <= answer.status < 400:
        target = answer.headers.get("location", "nowhere")
        raise NetworkError(f"redirects to {target}, so it is no boot server (a captive portal?)")
    try:
        fields = Fields.from_bytes(answer.body)
        if answer.status != 200:
            raise NetworkError(f"HTTP {answer.status}, so it is no boot server")
        fields.version(VERSION)
    except FieldError as error:
        if error.field == "version" and fields.has("version"):
            raise NetworkError(str(error), "the server no longer speaks to this agent; renew the loader on the card") from error
        shown = ascii(answer.body[:40].decode("utf-8", "replace"))
        raise NetworkError(f"HTTP {answer.status} {kind or 'without a type'} {shown}, so it is no boot server") from error
