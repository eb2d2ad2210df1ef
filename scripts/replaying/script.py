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
from scripts.replaying.overlay import Overlay, spoilt
from scripts.replaying.played import RANGE, Asked, Played
from scripts.replaying.rows import TALK, Met, is_compared, row_of, used_way
from scripts.replaying.stand_ins import StandIn, files_of, with_sizes
from scripts.replaying.tape import Exchange, Kind, Tape, as_object

BUSY = 503
# As long as the agent waits for the answer to a probe.
PROBE_MS = 15_000
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass
class Script:
    """`met` is everything that was asked, in order. `aliases` may be given pairs of its own (servers' addresses) beforehand."""

    tape: Tape
    stand_ins: list[StandIn]
    overlay: Overlay = field(default_factory=Overlay)
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
        fault = self.overlay.next_fault(asked.kind, self._role_of(url)) if recorded is not None else None
        self.met.append(Met(asked, row, recorded, url, self.aliases.back_json(_body(asked)), fault is not None))
        if recorded is None:
            return self._beyond(row, asked)
        played = self._play(recorded, asked)
        return spoilt(played, fault, asked.url) if fault else played

    @property
    def left(self) -> list[Exchange]:
        """What the recorded boot asked and the replayed one has not, in order."""
        seen = {id(met.recorded) for met in self.met if not met.spoilt}
        return [one for one in self.tape.exchanges if id(one) not in seen]

    def has_left_the_tape(self) -> bool:
        """Was there a request that the recorded boot did not make?"""
        return any(met.recorded is None and met.row in (TALK, used_way(self.tape)) for met in self.met)

    def _counterpart(self, row: tuple[str, ...], asked: Asked, url: str) -> Exchange | None:
        number = sum(1 for met in self.met if met.row == row and not met.spoilt)
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
        # With a fault there are more questions than on the tape: each has to get a plan that is its own.
        take = self.aliases.pair if self.overlay.faults else self.aliases.learn
        for name in ("boot_id", "nonce"):
            take(str(before.get(name, "")), str(now.get(name, "")))

    def _role_of(self, url: str) -> str:
        stand_in = self._by_digest.get(self._places.get(url, ""))
        return stand_in.role if stand_in else ""

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
        status = 206 if "content-range" in headers and line.status == 200 else line.status
        return Played(status, headers, body, breaks, error, line.marks, line.ms)

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
        if line.status == 200 and self.overlay.serves_ranges and asked.range_start:
            start = min(asked.range_start, len(content))
            headers |= {"content-range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
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


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _body(asked: Asked) -> Json:
    return as_object(asked.body) if asked.kind in (Kind.PLAN, Kind.EVENTS) else None
