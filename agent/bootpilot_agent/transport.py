"""HTTP over one interface. With the two modules beside it the only one that imports the HTTP library; imported late, because
that takes a while.

Owns the sockets. Never follows a redirect, never reads proxies, netrc or cookies, never unpacks a body, never keeps more than
it was told to. Every request has a deadline that also ends a server that sends its headers one byte at a time.
"""

import itertools
import logging
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import requests
from urllib3.connection import HTTPConnection

from bootpilot_agent import __version__, taps, tls
from bootpilot_agent.bound_connections import CONNECT_S, BoundAdapter, connect_bound
from bootpilot_agent.deadline import Deadline
from bootpilot_agent.errors import NetworkError, TransportError
from bootpilot_agent.fields import MAX_BODY_BYTES
from bootpilot_agent.http_failures import as_transport_error, innermost, reason
from bootpilot_agent.resolver import resolve
from bootpilot_agent.wall_clock import WallClock

READ_S = 30.0
CHUNK_BYTES = 256 * 1024
# Connections in the order in which they were made, for the recording.
_NUMBERS = itertools.count(1)

# A header that does not parse is worth a line to developers, none to a person at the console.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Route:
    """The way out: the interface that sockets are bound to ("" for any), its name servers; for https, CA file and date."""

    interface: str = ""
    nameservers: tuple[str, ...] = ()
    ca_file: str = tls.CA_BUNDLE
    clock: WallClock = field(default_factory=WallClock)


@dataclass(frozen=True)
class Answer:
    """A whole, small answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """One keep-alive connection for each server. Used by one thread at a time."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self._deadline = Deadline.after(0)
        self._socket: socket.socket | None = None
        self._adapter = BoundAdapter(self)
        self._number = next(_NUMBERS)

    def ask(
        self,
        method: str,
        url: str,
        *,
        deadline: Deadline,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limit_bytes: int = MAX_BODY_BYTES,
    ) -> Answer:
        """Send and read the whole answer. Raises TransportError, also for an answer of more than `limit_bytes`."""
        with self.stream(method, url, deadline=deadline, headers=headers, body=body) as stream:
            kept = bytearray()
            while chunk := stream.read(limit_bytes + 1 - len(kept)):
                kept += chunk
                if len(kept) > limit_bytes:
                    raise TransportError(f"{url}: answer of more than {limit_bytes} bytes")
            return Answer(stream.status, stream.headers, bytes(kept))

    @contextmanager
    def stream(
        self,
        method: str,
        url: str,
        *,
        deadline: Deadline,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        read_s: float = READ_S,
    ) -> Iterator["Stream"]:
        """Send and give the answer to be read piece by piece, with at most `read_s` of silence. Raises TransportError."""
        self._deadline = deadline
        cutter = threading.Timer(deadline.remaining_s(), self._cut)
        cutter.daemon = True
        cutter.start()
        sent = {**_HEADERS, **(headers or {})}
        exchange = taps.tap().asked(taps.Request(self._number, self.route.interface, method, url, sent, body or b""))
        try:
            with _ended(exchange):
                with as_transport_error(url, deadline):
                    request = requests.Request(method, url, headers=sent, data=body).prepare()
                    response = self._send(request, deadline, read_s)
                try:
                    yield Stream(response, url, deadline, exchange)
                finally:
                    self._finish(response)
        finally:
            cutter.cancel()

    def close(self) -> None:
        """Close the connections."""
        self._adapter.close()

    def connect(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """A connection to one of the host's addresses over the route's interface. Raises TransportError."""
        failures = []
        for address in self._resolve(host.strip("[]"), timeout_s):
            try:
                return connect_bound(address, port, self.route.interface, min(timeout_s, self._deadline.remaining_s() or 0.001))
            except OSError as error:
                failures.append(f"{address}: {reason(error)}")
        raise TransportError(f"{host} port {port}: " + ", ".join(failures))

    def watch(self, connection: HTTPConnection) -> None:
        """Remember the socket that the deadline has to cut."""
        self._socket = connection.sock

    def _send(self, request: requests.PreparedRequest, deadline: Deadline, read_s: float) -> requests.Response:
        """Once, or again where the server's certificate itself tells this board that its clock is behind."""
        self.route.clock.correct()
        timeout = (min(CONNECT_S, deadline.remaining_s() or 0.001), read_s)
        try:
            return self._adapter.send(request, stream=True, timeout=timeout, verify=self.route.ca_file)
        except requests.exceptions.SSLError as error:
            cause = innermost(error)
            if not isinstance(cause, ssl.SSLCertVerificationError) or cause.verify_code not in (tls.NOT_YET_VALID, tls.EXPIRED):
                raise
            dates = self._read_dates(str(request.url))
            # A first day that a believed CA has signed has come. All is verified anew then, and nothing was sent so far.
            if (
                cause.verify_code == tls.NOT_YET_VALID
                and dates
                and self.route.clock.learn(dates.start_s, "the server's certificate")
            ):
                return self._adapter.send(request, stream=True, timeout=timeout, verify=self.route.ca_file)
            text, hint = tls.explain_dates(cause, dates, self.route.clock.describe())
            raise TransportError(f"{request.url}: {text}", hint) from error

    def _read_dates(self, url: str) -> tls.Dates | None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        undated = tls.undated(self.connect(host, parts.port or 443, CONNECT_S), host, self.route.ca_file)
        self._socket = undated  # the deadline ends this connection, too
        return tls.read_dates(undated)

    def _resolve(self, host: str, timeout_s: float) -> list[str]:
        try:
            return resolve(host, self.route.nameservers, self.route.interface, timeout_s)
        except NetworkError as error:
            raise TransportError(error.message, error.hint) from error

    def _finish(self, response: requests.Response) -> None:
        # A body that was not read to its end must not be drained: it may have none.
        if response.raw.isclosed():
            response.raw.release_conn()
        else:
            response.raw.close()

    def _cut(self) -> None:
        try:
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


class Stream:
    """An answer whose body is read piece by piece, as it came over the wire."""

    def __init__(self, response: requests.Response, url: str, deadline: Deadline, exchange: taps.Exchange) -> None:
        self.status = response.status_code
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        self.exchange = exchange
        exchange.answered(self.status, self.headers)
        self._raw = response.raw
        self._url = url
        self._deadline = deadline

    def read(self, most_bytes: int = CHUNK_BYTES) -> bytes:
        """What has arrived, at least one byte; b"" at the end of the body. Raises TransportError, also for a body cut short."""
        with as_transport_error(self._url, self._deadline):
            if self._deadline.passed():
                raise TransportError(f"{self._url}: not finished in time")
            chunk: bytes = self._raw.read1(min(most_bytes, CHUNK_BYTES), decode_content=False)
            self.exchange.took(chunk)
            return chunk


_HEADERS = {
    "User-Agent": f"bootpilot-agent/{__version__}",
    # Digests and sizes in a plan are those of the file itself; what unpacks to more is never unpacked.
    "Accept-Encoding": "identity",
}


@contextmanager
def _ended(exchange: taps.Exchange) -> Iterator[None]:
    """Tells who listens how the exchange ended."""
    try:
        yield
    except BaseException as error:
        exchange.done(error)
        raise
    exchange.done(None)
