"""Brings one artifact into memory: streamed once to the place where it is used, hashed on the way, checked at its end.

Resumes with Range and keeps the hash state, goes round the artifact's URLs, gives up a stalled source, follows at most three
redirects to http(s), and ends at the plan's deadline. What does not match is cut off again.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from bootpilot_agent.deadline import Chance, Deadline, growing_waits, jittered
from bootpilot_agent.errors import FetchError, TransportError, VerifyError
from bootpilot_agent.plan import Artifact
from bootpilot_agent.plan_client import BUSY, BUSY_WAIT_S, retry_after_s
from bootpilot_agent.transport import Answer, Stream, Transport
from bootpilot_agent.urls import follow_redirect, join_url, token_belongs

MAX_REDIRECTS = 3
# A source that moves less than this over the window is as good as dead; another one, or a new connection, may be better.
STALL_S = 20.0
STALL_BYTES_PER_S = 1024
# One mismatch may be a broken cache on the way; two are a wrong artifact.
MISMATCHES = 2
FIRST_WAIT_S = 0.5
MOST_WAIT_S = 30.0


class _SourceLostError(Exception):
    """This URL will not give the artifact, however often it is asked."""


class _SourceBusyError(Exception):
    """This URL may give the artifact later."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@dataclass
class _Source:
    """One URL: its strong ETag once known, when it may be asked again, and how it failed last."""

    url: str
    waits: Iterator[float]
    etag: str = ""
    ready_at_s: float = 0.0
    failure: str = "not asked yet"


class _Transfer:
    """One artifact on its way into a file, from the file's present end on."""

    def __init__(self, artifact: Artifact, file: BinaryIO, on_bytes: Callable[[int], None]) -> None:
        self.artifact = artifact
        self._file = file
        self._start = file.tell()
        self._on_bytes = on_bytes
        self.restart()

    def restart(self) -> None:
        """Forget what arrived."""
        self._file.seek(self._start)
        self._file.truncate()
        self.done_bytes = 0
        self._digest = hashlib.sha256()
        self._on_bytes(0)

    @property
    def digest(self) -> str:
        """Of what arrived so far."""
        return self._digest.hexdigest()

    @property
    def left_bytes(self) -> int:
        return self.artifact.size_bytes - self.done_bytes

    def take(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._digest.update(chunk)
        self.done_bytes += len(chunk)
        self._on_bytes(self.done_bytes)

    def check(self, what: str, url: str) -> None:
        """Raises VerifyError if what arrived is not what the plan says."""
        got = self.digest
        if got != self.artifact.sha256:
            raise VerifyError(
                f"{what}: sha256 differs: plan {self.artifact.sha256}, got {got} ({self.done_bytes} bytes from {url})",
                "the file on the server or on a cache in between was changed; add the artifact anew",
            )


@dataclass
class Fetcher:
    """Fetches the artifacts of one plan over one connection. `mismatches` of a digest end it; `pause` sleeps.

    `better_way`: has the adapter that this connection is bound to lost its cable or address, while another one has both?
    """

    transport: Transport
    server: str
    token: str
    deadline: Deadline
    say: Callable[[str], None]
    chance: Chance
    on_bytes: Callable[[int], None] = field(default=lambda done_bytes: None)
    pause: Callable[[float], None] = time.sleep
    stall_s: float = STALL_S
    mismatches: int = MISMATCHES
    better_way: Callable[[], bool] = field(default=lambda: False)

    def fetch(self, artifact: Artifact, file: BinaryIO, what: str) -> None:
        """Append the artifact to the file. Raises FetchError or VerifyError and leaves the file as it was."""
        transfer = _Transfer(artifact, file, self.on_bytes)
        sources = [
            _Source(target, growing_waits(FIRST_WAIT_S, MOST_WAIT_S, self.chance))
            for url in artifact.urls
            if (target := join_url(self.server + "/", url))
        ]
        if not sources:
            raise FetchError(f"{what}: none of {artifact.urls} is a URL that can be asked", "see the profile's mirrors")
        try:
            self._try_sources(transfer, sources, what)
            file.flush()
        except OSError as error:
            transfer.restart()
            raise FetchError(f"{what}: cannot be kept in memory: {error}", "is there enough memory on this board?") from error
        except (FetchError, VerifyError):
            transfer.restart()
            raise

    def _try_sources(self, transfer: _Transfer, sources: list[_Source], what: str) -> None:
        mismatches = 0
        live = list(sources)
        while live:
            source = min(live, key=lambda one: one.ready_at_s)
            self._await_source(source, sources, transfer, what)
            before_bytes = transfer.done_bytes
            try:
                self._stream(source, transfer, what)
                transfer.check(what, source.url)
                return
            except VerifyError as error:
                mismatches += 1
                if mismatches >= self.mismatches:
                    raise
                transfer.restart()
                self._put_off(source, error.message, None)
            except _SourceLostError as error:
                source.failure = str(error)
                live.remove(source)
                self.say(f"{what}: {source.url}: {error}")
            except _SourceBusyError as error:
                self._put_off(source, str(error), error.wait_s)
            except TransportError as error:
                if transfer.done_bytes > before_bytes:
                    source.waits = growing_waits(FIRST_WAIT_S, MOST_WAIT_S, self.chance)
                self._put_off(source, error.message, None)
                if self.better_way():
                    raise FetchError(
                        f"{_describe(what, transfer, sources)}; the network adapter in use is cut off, and another one is not",
                        "is its cable plugged in? The next try takes whichever reaches the server",
                    ) from error
        raise FetchError(_describe(what, transfer, sources), "does the artifact exist on the server and its mirrors?")

    def _put_off(self, source: _Source, failure: str, wait_s: float | None) -> None:
        source.failure = failure
        source.ready_at_s = time.monotonic() + (next(source.waits) if wait_s is None else jittered(wait_s, self.chance))
        self.say(failure)

    def _await_source(self, source: _Source, sources: list[_Source], transfer: _Transfer, what: str) -> None:
        wait_s = max(0.0, source.ready_at_s - time.monotonic())
        if self.deadline.passed() or wait_s > self.deadline.remaining_s():
            raise FetchError(
                f"{_describe(what, transfer, sources)}; the plan's deadline would pass",
                "is the server, or the network between, too slow or down?",
            )
        if wait_s:
            self.pause(wait_s)

    def _stream(self, source: _Source, transfer: _Transfer, what: str) -> None:
        url = source.url
        for _ in range(MAX_REDIRECTS + 1):
            headers = self._headers(url, source, transfer)
            with self.transport.stream("GET", url, deadline=self.deadline, headers=headers, read_s=self.stall_s) as answer:
                if answer.status in (301, 302, 303, 307, 308):
                    url = _follow(url, answer.headers.get("location", ""))
                    continue
                _take_position(answer, transfer, what, url)
                source.etag = _strong_etag(answer.headers)
                self._read(answer, transfer, url)
                return
        raise _SourceLostError(f"more than {MAX_REDIRECTS} redirects")

    def _headers(self, url: str, source: _Source, transfer: _Transfer) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token and token_belongs(url, self.server) else {}
        if transfer.done_bytes:
            headers["Range"] = f"bytes={transfer.done_bytes}-"
            if source.etag:
                headers["If-Range"] = source.etag
        return headers

    def _read(self, answer: Stream, transfer: _Transfer, url: str) -> None:
        """Read to the artifact's size and not a byte further, however much the server has to say."""
        window_s, window_bytes = time.monotonic(), transfer.done_bytes
        while transfer.left_bytes:
            chunk = answer.read(transfer.left_bytes)
            if not chunk:
                raise TransportError(f"{url}: ended after {transfer.done_bytes} of {transfer.artifact.size_bytes} bytes")
            transfer.take(chunk)
            now_s = time.monotonic()
            if now_s - window_s >= self.stall_s:
                if transfer.done_bytes - window_bytes < STALL_BYTES_PER_S * (now_s - window_s):
                    raise TransportError(f"{url}: stalled at {transfer.done_bytes} of {transfer.artifact.size_bytes} bytes")
                window_s, window_bytes = now_s, transfer.done_bytes
        answer.exchange.made_whole(transfer.digest)


def _take_position(answer: Stream, transfer: _Transfer, what: str, url: str) -> None:
    """Make sure that the body begins where the file ends; refuse what cannot be the artifact."""
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise _SourceLostError(f"sends {answer.headers['content-encoding']} although the bare file was asked for")
    if answer.status == 206:
        _check_content_range(answer.headers.get("content-range", ""), transfer)
        return
    if answer.status != 200:
        _refuse_status(answer, transfer)
    if transfer.done_bytes:
        transfer.restart()  # the server ignores Range, or has another file now (If-Range)
    length = answer.headers.get("content-length", "")
    if length.isdigit() and int(length) != transfer.artifact.size_bytes:
        raise VerifyError(
            f"{what}: size differs: plan {transfer.artifact.size_bytes} bytes, server {length} ({url})",
            "the file on the server or on a cache in between was changed; add the artifact anew",
        )


def _check_content_range(text: str, transfer: _Transfer) -> None:
    found = re.fullmatch(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)", text)
    asked, size = transfer.done_bytes, transfer.artifact.size_bytes
    if not found or int(found[1]) != asked or found[3] not in ("*", str(size)):
        transfer.restart()
        raise TransportError(f"asked for bytes {asked}- of {size}, got {text!a}; starting over")


def _refuse_status(answer: Stream, transfer: _Transfer) -> None:
    if answer.status in BUSY:
        wait_s = retry_after_s(Answer(answer.status, answer.headers, b""))
        raise _SourceBusyError(f"HTTP {answer.status}: busy", BUSY_WAIT_S if wait_s is None else wait_s)
    if answer.status == 416:
        transfer.restart()
        raise TransportError("HTTP 416: the server has fewer bytes than we do; starting over")
    if answer.status >= 500:
        raise _SourceBusyError(f"HTTP {answer.status}")
    raise _SourceLostError(f"HTTP {answer.status}")


def _follow(url: str, location: str) -> str:
    target = follow_redirect(url, location)
    if target is None:
        raise _SourceLostError(f"redirects to {location!a}, which is not allowed")
    return target


def _strong_etag(headers: Mapping[str, str]) -> str:
    etag = headers.get("etag", "")
    return etag if etag.startswith('"') else ""


def _describe(what: str, transfer: _Transfer, sources: list[_Source]) -> str:
    failures = "; ".join(f"{source.url}: {source.failure}" for source in sources)
    return f"{what}: {transfer.done_bytes} of {transfer.artifact.size_bytes} bytes arrived; {failures}"
