"""What the recorded server says to each request of the replayed boot. No I/O here; used by one thread at a time.

Requests are matched by what they are for, in order: the questions and downloads of a boot in one row, the probes of each way in
a row of their own, the journal's likewise. A request that has no counterpart is answered with 503 and kept: it is the
difference, or shows it.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from bootpilot_agent.fields import Json
from scripts.replaying.aliases import Aliases
from scripts.replaying.breaks import Break, break_of
from scripts.replaying.stand_ins import StandIn, files_of, with_sizes
from scripts.replaying.tape import Exchange, Kind, Tape, as_object, kind_of

BUSY = 503
# As long as the agent waits for the answer to a probe.
PROBE_MS = 15_000
TALK = ("talk",)
RANGE = re.compile(r"bytes=(\d+)-")
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True)
class Asked:
    """A request of the replayed boot. Header names are in lower case; `interface` is "" where the harness cannot tell it."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    interface: str = ""

    @property
    def kind(self) -> Kind:
        return kind_of(self.method, self.url)

    @property
    def range_start(self) -> int:
        found = RANGE.fullmatch(self.headers.get("range", ""))
        return int(found[1]) if found else 0


@dataclass(frozen=True)
class Played:
    """The answer. `breaks`: how it ends before its end, in `error`'s words; `status` is None where there is none at all.

    `marks` and `ms` say when each byte came, in milliseconds since the request.
    """

    status: int | None
    headers: dict[str, str]
    body: bytes
    breaks: Break | None = None
    error: str = ""
    marks: tuple[tuple[int, int], ...] = ()
    ms: int = 0


@dataclass(frozen=True)
class Met:
    """A request of the replay and its counterpart on the tape, if there is one. `body` is in the recorded boot's terms."""

    asked: Asked
    row: tuple[str, ...]
    recorded: Exchange | None
    url: str
    body: Json = None


@dataclass
class Script:
    """`met` is everything that was asked, in order. `aliases` may be given pairs of its own (servers' addresses) beforehand."""

    tape: Tape
    stand_ins: list[StandIn]
    aliases: Aliases = field(default_factory=Aliases)
    met: list[Met] = field(default_factory=list)
    _rows: dict[tuple[str, ...], list[Exchange]] = field(default_factory=dict)
    _places: dict[str, str] = field(default_factory=dict)
    _by_digest: dict[str, StandIn] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_digest = {one.recorded: one for one in self.stand_ins}
        for one in self.stand_ins:
            self.aliases.pair(one.recorded, one.sha256)
        for exchange in self.tape.exchanges:
            self._rows.setdefault(row_of(exchange.kind, exchange.line.url, exchange.line.interface), []).append(exchange)
            self._learn_places(exchange)

    def answer(self, asked: Asked) -> Played:
        """Never raises."""
        url = self.aliases.back(asked.url)
        row = row_of(asked.kind, url, asked.interface)
        recorded = self._counterpart(row, asked, url)
        if recorded is not None and asked.kind is Kind.PLAN:
            self._learn_ids(recorded, asked)
            url = self.aliases.back(asked.url)
        self.met.append(Met(asked, row, recorded, url, self.aliases.back_json(_body(asked))))
        if recorded is None:
            return self._beyond(row, asked)
        return self._play(recorded, asked)

    @property
    def left(self) -> list[Exchange]:
        """What the recorded boot asked and the replayed one has not, in order."""
        seen = {id(met.recorded) for met in self.met}
        return [one for one in self.tape.exchanges if id(one) not in seen]

    def has_left_the_tape(self) -> bool:
        """Was there a request that the recorded boot did not make?"""
        return any(met.recorded is None and met.row in (TALK, used_way(self.tape)) for met in self.met)

    def _counterpart(self, row: tuple[str, ...], asked: Asked, url: str) -> Exchange | None:
        number = sum(1 for met in self.met if met.row == row)
        recorded = self._rows.get(row, [])
        if number >= len(recorded):
            return None
        line = recorded[number].line
        fits = (line.method, _path(line.url)) == (asked.method, _path(url)) or not is_compared(row)
        return recorded[number] if fits else None

    def _beyond(self, row: tuple[str, ...], asked: Asked) -> Played:
        """Journals send their events in as many requests as it happens; what they say is compared as a whole.

        A probe without a counterpart was still waiting for an answer when the recorded boot went on.
        """
        if row[0] == Kind.HELLO:
            return Played(None, {}, b"", Break.SILENT, f"{asked.url}: timed out", (), PROBE_MS)
        if is_compared(row):
            return Played(BUSY, {"content-type": "text/plain", "content-length": "0"}, b"")
        known = self._rows.get(row)
        return self._play(known[-1], asked) if known else Played(204, {}, b"")

    def _learn_ids(self, recorded: Exchange, asked: Asked) -> None:
        before, now = as_object(recorded.line.body.content), as_object(asked.body)
        for name in ("boot_id", "nonce"):
            self.aliases.learn(str(before.get(name, "")), str(now.get(name, "")))

    def _learn_places(self, exchange: Exchange) -> None:
        """Where each file is had: the plan's URLs, and where these redirect to."""
        for named in files_of(exchange) if exchange.kind is Kind.PLAN else ():
            for url in named.urls:
                self._places.setdefault(url, named.sha256)
        target, digest = exchange.line.answer_headers.get("location"), self._places.get(exchange.line.url)
        if target and digest:
            self._places.setdefault(urljoin(exchange.line.url, target), digest)

    def _play(self, recorded: Exchange, asked: Asked) -> Played:
        line = recorded.line
        headers = {name: self.aliases.forth(value) for name, value in line.answer_headers.items()}
        breaks = break_of(line)
        if line.status is None:
            return Played(None, {}, b"", breaks or Break.CLOSED, self.aliases.forth(line.error), (), line.ms)
        body, headers = self._content(recorded, asked, headers)
        error = self.aliases.forth(line.error) if breaks else ""
        return Played(line.status, headers, body, breaks, error, line.marks, line.ms)

    def _content(self, recorded: Exchange, asked: Asked, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
        line = recorded.line
        if line.answer.content is not None:
            body = self._plan(line.answer.content) if recorded.kind is Kind.PLAN else line.answer.content
            body = self.aliases.forth_bytes(body)
            # What was secret in it had another length than what stands for it.
            if "content-length" in headers and not line.error:
                headers["content-length"] = str(len(body))
            return body, headers
        stand_in = self._by_digest.get(self._places.get(line.url, ""))
        if stand_in is None:
            return bytes(line.answer.size_bytes), headers
        return self._piece(stand_in, recorded, asked, headers)

    def _piece(
        self, stand_in: StandIn, recorded: Exchange, asked: Asked, headers: dict[str, str]
    ) -> tuple[bytes, dict[str, str]]:
        """So much of the file as came then, from where it is wanted now."""
        line, content = recorded.line, stand_in.content
        start = 0
        if line.status == 206 and (found := CONTENT_RANGE.fullmatch(line.answer_headers.get("content-range", ""))):
            start = asked.range_start
            if int(found[1]) == int((RANGE.fullmatch(line.headers.get("Range", "")) or found)[1]):
                headers["content-range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        whole = not break_of(line) and not line.error and line.answer.size_bytes > 0
        piece = content[start:] if whole else content[start : start + line.answer.size_bytes]
        if "content-length" in headers and (whole or line.status == 206):
            headers["content-length"] = str(len(content) - start)
        if line.answer.sha256 not in ("", stand_in.recorded) and piece:
            piece = piece[:-1] + bytes([piece[-1] ^ 1])
            self.aliases.pair(line.answer.sha256, hashlib.sha256(content[:start] + piece).hexdigest())
        return piece, headers

    def _plan(self, content: bytes) -> bytes:
        """Only where a file has another size than the recorded one is a plan written anew."""
        sizes = {named.sha256: named.size_bytes for one in self.tape.plans for named in files_of(one)}
        if all(len(one.content) == sizes.get(one.recorded) for one in self.stand_ins):
            return content
        plan = as_object(content)
        return json.dumps(with_sizes(plan, self._by_digest)).encode() if plan else content


def row_of(kind: Kind, url: str, interface: str) -> tuple[str, ...]:
    """The row that a request belongs to."""
    if kind is Kind.HELLO:
        parts = urlsplit(url)
        return (kind, f"{parts.scheme}://{parts.netloc}", interface)
    return TALK if kind in (Kind.PLAN, Kind.ARTIFACT, Kind.OTHER) else (kind,)


def used_way(tape: Tape) -> tuple[str, ...]:
    """The row of probes over which the server was found: how often others were asked meanwhile is a matter of time."""
    hellos = [one for one in tape.exchanges if one.kind is Kind.HELLO and one.line.status is not None]
    for plan in tape.plans:
        for hello in hellos:
            if (hello.line.connection, hello.line.interface) == (plan.line.connection, plan.line.interface):
                return row_of_exchange(hello)
    return ()


def row_of_exchange(exchange: Exchange) -> tuple[str, ...]:
    """As the script sorts them."""
    return row_of(exchange.kind, exchange.line.url, exchange.line.interface)


def is_compared(row: tuple[str, ...]) -> bool:
    """Request by request: the boot's own. What the journal sends depends on when its thread gets to it."""
    return row == TALK or row[0] == Kind.HELLO


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _body(asked: Asked) -> Json:
    return as_object(asked.body) if asked.kind in (Kind.PLAN, Kind.EVENTS) else None
