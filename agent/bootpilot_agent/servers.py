"""Finds the boot server: asks every server over every lease at once, and takes the first that answers as one.

Owns the probe threads. A dead or lying interface costs nothing but its own thread; what does not answer is asked again with
growing, jittered waits, and a lease that comes later is asked at once.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bootpilot_agent.deadline import Chance, Clock, Deadline, growing_waits
from bootpilot_agent.errors import AgentError, NetworkError
from bootpilot_agent.fields import FieldError, Fields
from bootpilot_agent.network import Candidate
from bootpilot_agent.plan import VERSION, problem_detail
from bootpilot_agent.raw_settings import DHCP
from bootpilot_agent.settings import Settings
from bootpilot_agent.transport import Answer, Route, Transport
from bootpilot_agent.wall_clock import WallClock

PROBE_S = 15.0
FIRST_WAIT_S = 1.0
MOST_WAIT_S = 30.0
SAY_EVERY_S = 60.0
# How long to listen at once: to the network while nothing is asked, to the answers while something is.
IDLE_S = 0.25
ANSWER_S = 0.1
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


class Search:
    """Looks for a server as often as the boot is tried; remembers over which ways the last tries failed."""

    def __init__(
        self,
        settings: Settings,
        ca_file: str,
        say: Callable[[str], None],
        chance: Chance,
        clock: Clock = time.monotonic,
        wall_clock: WallClock | None = None,
    ) -> None:
        self.settings = settings
        self.ca_file = ca_file
        self.wall_clock = wall_clock or WallClock()
        self.say = say
        self.chance = chance
        self.clock = clock
        self._blamed: dict[Way, int] = {}

    def blame(self, way: Way) -> None:
        """The try over this way failed: next time others are asked first."""
        self._blamed[way] = min(self._blamed.get(way, 0) + 1, MOST_BLAME)

    def head_start_s(self, way: Way) -> float:
        """How much later than the others this way is asked."""
        return self._blamed.get(way, 0) * BLAME_S

    def find(
        self, candidates: Callable[[], tuple[Candidate, ...]], idle: Callable[[float], object], deadline: Deadline
    ) -> Found:
        """Ask until one answers. `idle(seconds)` waits for news from the network. Raises NetworkError at the deadline."""
        probes = _Probes(self)
        say_at_s = self.clock() + SAY_EVERY_S
        try:
            while not deadline.passed():
                probes.follow(ways(candidates(), self.settings))
                found = probes.take(idle)
                if found is not None:
                    return found
                if self.clock() >= say_at_s:
                    say_at_s += SAY_EVERY_S
                    self.say(f"still looking for a boot server: {probes.describe()}")
            raise NetworkError(f"no boot server: {probes.describe()}", probes.hint())
        finally:
            probes.abandon()


@dataclass
class _Probing:
    """How it stands with one way."""

    next_at_s: float
    waits: Iterator[float]
    running: bool = False
    failure: str = ""


class _Probes:
    """The questions of one search. Each runs in a thread of its own and puts its result into one queue."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._stands: dict[Way, _Probing] = {}
        self._results: queue.SimpleQueue[tuple[Way, Found | AgentError]] = queue.SimpleQueue()
        self._over = threading.Event()

    def follow(self, current: list[Way]) -> None:
        """Ask over the ways that there are now, each when it is due; forget those that are gone."""
        now_s = self._search.clock()
        for gone in [way for way in self._stands if way not in current]:
            del self._stands[gone]
        for way in current:
            if way not in self._stands:
                waits = growing_waits(FIRST_WAIT_S, MOST_WAIT_S, self._search.chance)
                self._stands[way] = _Probing(now_s + self._search.head_start_s(way), waits)
            stand = self._stands[way]
            if not stand.running and now_s >= stand.next_at_s:
                stand.running = True
                threading.Thread(target=self._probe, args=(way,), name=f"probe {way}", daemon=True).start()

    def take(self, idle: Callable[[float], object]) -> Found | None:
        """Wait a little for an answer, or for a lease if nothing is under way; a good answer, or None."""
        running = any(stand.running for stand in self._stands.values())
        idle(0.0 if running else IDLE_S)
        try:
            way, result = self._results.get(timeout=ANSWER_S if running else 0.0)
        except queue.Empty:
            return None
        if isinstance(result, Found):
            return result
        if stand := self._stands.get(way):
            stand.running = False
            stand.next_at_s = self._search.clock() + next(stand.waits)
            if result.message != stand.failure:
                stand.failure = result.message
                self._search.say(
                    f"no answer from {way}: {result.message}" + (f"\n  hint: {result.hint}" if result.hint else "")
                )
        return None

    def abandon(self) -> None:
        """Answers that still come are hung up on."""
        self._over.set()
        while not self._results.empty():
            _, late = self._results.get()
            if isinstance(late, Found):
                late.transport.close()

    def describe(self) -> str:
        if self._stands:
            return "; ".join(f"{way}: {stand.failure or 'no answer yet'}" for way, stand in self._stands.items())
        if self._search.settings.servers:
            return "no lease yet"
        return f"no lease that names a boot server{' with https' if self._search.settings.https_only else ''} yet"

    def hint(self) -> str:
        if self._stands:
            return "is the server running, and can it be reached from this network?"
        if self._search.settings.servers:
            return "is the cable plugged in, and is there a DHCP server? A static address can be set in bootpilot.txt"
        if self._search.settings.https_only:
            return "this board's settings ask for https, so no http server that DHCP names counts: name one as `server`"
        return "name one as `server` in bootpilot.txt, or give DHCP option 224 with its URL"

    def _probe(self, way: Way) -> None:
        lease = way.candidate.lease
        transport = Transport(Route(lease.interface, lease.dns, self._search.ca_file, self._search.wall_clock))
        result: Found | AgentError
        try:
            check_hello(transport.ask("GET", f"{way.server}/v1/", deadline=Deadline.after(PROBE_S)))
            result = Found(way, transport)
        except AgentError as error:
            result = error
        except Exception as error:
            result = AgentError(f"{type(error).__name__}: {error}")
        if isinstance(result, AgentError) or self._over.is_set():
            transport.close()
        self._results.put((way, result))


def ways(candidates: tuple[Candidate, ...], settings: Settings) -> list[Way]:
    """Every server over every lease. Servers named on the command line or the card shut out those of DHCP.

    Where the settings ask for https, DHCP cannot talk the board out of it.
    """
    if settings.servers:
        return [Way(candidate, url, settings.server_source) for candidate in candidates for url in settings.servers]
    named = [Way(candidate, url, DHCP) for candidate in candidates for url in candidate.server_urls]
    return [way for way in named if not settings.https_only or way.server.startswith("https:")]


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
