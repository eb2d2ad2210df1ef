"""A real HTTP server whose answers, and whose faults, are data.

`server.on("GET", "/x", Reply(...), Reply(...))` answers the first request to /x with the first reply, the second with the
second, and all later ones with the last. A reply can also be a function of the request.
"""

import contextlib
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import BinaryIO, Self

ENDLESS_CHUNK = bytes(65536)
STEPS_PER_S = 10


@dataclass(frozen=True)
class Request:
    """What came in. Header names are in lower case; `path` has the query; `peer` is the address that it came from."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    peer: str = ""

    @property
    def range_start(self) -> int | None:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        return int(found[1]) if found else None


@dataclass(frozen=True)
class Reply:
    """One answer, with at most a few faults.

    cut_after: bytes of body after which the connection ends (`reset`: by RST instead of FIN), whatever the length says.
    stall_after: bytes of body after which nothing more comes.
    drip_s: seconds between single bytes of the body; drip_headers: the same for the headers.
    endless: after the body, zeros until the client hangs up.
    lost: the request is taken and the connection closed without a word.
    length: Content-Length to claim instead of the true one; None for none at all, so that closing ends the body.
    bytes_per_s: the body comes no faster than this; 0 for as fast as the client takes it.
    marks: (milliseconds since the request, bytes of the body by then); the first is the head.
    silent: the request is taken, and no word comes. With `reset`, `lost` ends by RST.
    """

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    ranges: bool = False
    cut_after: int | None = None
    reset: bool = False
    stall_after: int | None = None
    drip_s: float = 0.0
    drip_headers: bool = False
    endless: bool = False
    lost: bool = False
    length: int | None = -1
    bytes_per_s: int = 0
    marks: tuple[tuple[int, int], ...] = ()
    silent: bool = False


Answer = Reply | Callable[[Request], Reply]
NOT_FOUND = Reply(404, b"nothing here", (("Content-Type", "text/plain"),))


@dataclass
class ScriptedServer:
    """Use as a context manager; then `url` is where it listens and `requests` what it was asked, in order."""

    address: str = "127.0.0.1"
    listen_port: int = 0
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    _routes: dict[tuple[str, str], list[Answer]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ending: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _connections: list[socket.socket] = field(default_factory=list)

    def __enter__(self) -> Self:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        self._listener = socket.create_server((self.address, self.listen_port), family=family)
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ending.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    @property
    def connections(self) -> int:
        """How many there were."""
        with self._lock:
            return len(self._connections)

    @property
    def url(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """Answers for a path (its query does not count; a closing `/*` takes all below), in order; the last one stays."""
        self._routes[method, path] = list(answers)

    def asked(self, path: str) -> list[Request]:
        """The requests to this path so far."""
        return [request for request in self.requests if request.path.partition("?")[0] == path]

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections.append(connection)
            self._start(self._serve, connection)

    def _serve(self, plain: socket.socket) -> None:
        with plain, contextlib.suppress(OSError):
            if self.tls is None:
                self._answer(plain)
                return
            # The handshake takes the plain socket's place, so it comes when the connection can be shut from outside.
            with self.tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as connection:
                with self._lock:
                    self._connections[self._connections.index(plain)] = connection
                connection.do_handshake()
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        peer = connection.getpeername()[0]
        with connection.makefile("rb") as reader:
            while request := _read_request(reader, peer):
                reply = self._choose(request)
                if not self._send(connection, request, reply):
                    return

    def _choose(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            answers = self._find(request.method, request.path.partition("?")[0])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer(request) if callable(answer) else answer

    def _find(self, method: str, path: str) -> list[Answer]:
        matching = [key for key in self._routes if key[0] == method and key[1] in (path, "*")]
        matching += [key for key in self._routes if key[0] == method and key[1].endswith("/*") and path.startswith(key[1][:-1])]
        return self._routes[matching[0]] if matching else [NOT_FOUND]

    def _send(self, connection: socket.socket, request: Request, reply: Reply) -> bool:
        """True if the connection stays open for another request."""
        start_s = time.monotonic()
        if reply.silent:
            self._ending.wait()
        if reply.lost and reply.reset:
            _reset_at_end(connection)
        if reply.lost or reply.silent:
            return False
        self._wait_for_mark(start_s, reply.marks[:1])
        status, extra, body = _cut_range(request, reply)
        length = len(body) if reply.length == -1 else reply.length
        head = _head(status, (*extra, *reply.headers), length)
        self._send_slowly(connection, head, 0.05 if reply.drip_headers else 0.0)
        for limit in (reply.cut_after, reply.stall_after):
            body = body if limit is None else body[:limit]
        if reply.marks:
            self._send_at(connection, body, start_s, reply.marks)
        elif reply.bytes_per_s:
            self._send_throttled(connection, body, reply.bytes_per_s)
        else:
            self._send_slowly(connection, body, reply.drip_s)
        while reply.endless:
            connection.sendall(ENDLESS_CHUNK)
        if reply.stall_after is not None:
            self._ending.wait()
        if reply.reset:
            _reset_at_end(connection)
        return reply.cut_after is None and length is not None

    def _wait_for_mark(self, start_s: float, marks: tuple[tuple[int, int], ...]) -> None:
        for at_ms, _ in marks:
            self._ending.wait(max(0.0, start_s + at_ms / 1000 - time.monotonic()))

    def _send_at(self, connection: socket.socket, data: bytes, start_s: float, marks: tuple[tuple[int, int], ...]) -> None:
        sent = 0
        for mark in marks:
            self._wait_for_mark(start_s, (mark,))
            connection.sendall(data[sent : mark[1]])
            sent = max(sent, mark[1])
        connection.sendall(data[sent:])

    def _send_slowly(self, connection: socket.socket, data: bytes, wait_s: float) -> None:
        if not wait_s:
            connection.sendall(data)
            return
        for index in range(len(data)):
            connection.sendall(data[index : index + 1])
            if self._ending.wait(wait_s):
                return

    def _send_throttled(self, connection: socket.socket, data: bytes, bytes_per_s: int) -> None:
        step = max(1, bytes_per_s // STEPS_PER_S)
        for start in range(0, len(data), step):
            connection.sendall(data[start : start + step])
            if self._ending.wait(1 / STEPS_PER_S):
                return


def _reset_at_end(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _read_request(reader: BinaryIO, peer: str) -> Request | None:
    words = reader.readline(65536).decode("latin-1").split()
    if len(words) != 3:
        return None
    headers = {}
    while (line := reader.readline(65536).decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Request(words[0], words[1], headers, reader.read(int(headers.get("content-length", "0"))), peer)


def _cut_range(request: Request, reply: Reply) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    start = request.range_start
    if not reply.ranges or reply.status != 200 or start is None:
        return reply.status, (), reply.body
    etag = dict(reply.headers).get("ETag")
    if "if-range" in request.headers and request.headers["if-range"] != etag:
        return 200, (), reply.body
    if start >= len(reply.body):
        return 416, (("Content-Range", f"bytes */{len(reply.body)}"),), b""
    size = len(reply.body)
    return 206, (("Content-Range", f"bytes {start}-{size - 1}/{size}"),), reply.body[start:]


def _head(status: int, headers: tuple[tuple[str, str], ...], length: int | None) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers)]
    lines.append("Connection: close" if length is None else f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    """For what happens in another thread; True as soon as it did."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        if condition():
            return True
        time.sleep(0.01)
    return condition()
