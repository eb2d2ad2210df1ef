"""gunicorn's threads, but an error of HTTP itself is a problem document too, and a client that stalls or trickles is let go.

A rack that loses power in the middle of its downloads would otherwise hold every thread until TCP gives up.
"""

import json
import logging
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.workers.gthread import ThreadWorker

log = logging.getLogger(__name__)

# Nothing read or written for so long: the agent gives up on such a connection after 20 s.
STALL_S = 60.0
# A request from its first byte to its last. The longest, a log of 4 MiB, takes a board with 1 Mbit/s half of it.
REQUEST_S = 60.0
# An answer. A download that takes longer is cut, and the agent goes on where it was with the next request.
ANSWER_S = 3600.0
# How long a client may take to close its side after us: to close at once could reset the connection, and lose our last answer.
LINGER_S = 1.0
LINGER_BYTES = 1 << 16
# Raised inside the application, too, when it reads a body that is none.
BROKEN_REQUESTS = (ParseException,)
STATUSES = (
    (LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG),
    (LimitRequestHeaders, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    (ParseException, HTTPStatus.BAD_REQUEST),
)


class Worker(ThreadWorker):
    """One process of the boot server."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = TimeLimits()

    def handle(self, conn: Any) -> Any:
        """In a thread: one request and its answer, each within its time."""
        with self._limits.on(conn.sock, REQUEST_S, socket.SHUT_RD):
            goes_on = super().handle(conn)
        if goes_on is False:
            # gunicorn would wait for the client's side in its main loop, where whoever does not close holds up all others.
            _take_leave(conn.sock)
        return goes_on

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Body and answer must move; the time for the headers is the listener's (see serving.open_listener)."""
        conn.sock.settimeout(STALL_S)
        if req.method in ("GET", "HEAD"):
            with self._limits.on(conn.sock, ANSWER_S, socket.SHUT_RDWR):
                return super().handle_request(req, conn)
        return super().handle_request(req, conn)

    def murder_pending(self) -> None:
        """The main loop calls this every second or more often, before and after it was told to stop."""
        super().murder_pending()
        self._limits.enforce()

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Answers what never became a request, or what broke beneath the application."""
        if isinstance(exc, ssl.SSLError):
            # A board that does not believe the certificate hangs up and says why; so does who speaks plain HTTP.
            log.info("no TLS with %s: %s", addr[0], exc)
            return
        status = next((status for kind, status in STATUSES if isinstance(exc, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.exception("fault beneath the application")
        try:
            client.settimeout(1.0)
            client.sendall(_problem(status, str(exc) if status < HTTPStatus.INTERNAL_SERVER_ERROR else "a fault of the server"))
        except OSError as error:
            self.log.debug("nobody is left to hear of it: %s", error)


class TimeLimits:
    """Connections that threads work on, and when that must be over. A socket's own timeout starts anew with every byte."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By descriptor: TLS puts another socket object in the place of the one that a connection began with.
        self._ends: dict[int, tuple[float, int]] = {}

    @contextmanager
    def on(self, sock: socket.socket, seconds: float, direction: int) -> Iterator[None]:
        """Within the block, `enforce` shuts this direction of the connection once time is over. An inner limit stands alone."""
        descriptor = sock.fileno()
        with self._lock:
            outer = self._ends.get(descriptor)
            self._ends[descriptor] = (time.monotonic() + seconds, direction)
        try:
            yield
        finally:
            with self._lock:
                del self._ends[descriptor]
                if outer:
                    self._ends[descriptor] = outer

    def enforce(self) -> None:
        """Whoever reads from or writes to such a connection finds that it has ended."""
        now = time.monotonic()
        with self._lock:
            for descriptor, (end, direction) in self._ends.items():
                if now > end:
                    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as same:
                        same.shutdown(direction)


class QuietLogger(Logger):
    """A board that was switched off is worth a line, not a traceback."""

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, TimeoutError | BlockingIOError | ConnectionError):
            self.info("a client stalled or went away: %s", error)
        else:
            super().exception(msg, *args, **kwargs)


def _take_leave(sock: socket.socket) -> None:
    """No more from us; let the client read what it was sent and close (RFC 9112, 9.6), then end both directions."""
    end, drained = time.monotonic() + LINGER_S, 0
    with suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        while drained < LINGER_BYTES and (left := end - time.monotonic()) > 0:
            sock.settimeout(left)
            if not (data := sock.recv(4096)):
                break
            drained += len(data)
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _problem(status: HTTPStatus, detail: str) -> bytes:
    document = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    body = json.dumps(document).encode() + b"\n"
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/problem+json\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
