"""gunicorn's threads, but an error of HTTP itself is a problem document too, and a client that stalls is let go.

A rack that loses power in the middle of its downloads would otherwise hold every thread until TCP gives up.
"""

import json
import socket
import sys
from http import HTTPStatus
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.workers.gthread import ThreadWorker

# Nothing read or written for so long: the agent gives up on such a connection after 20 s.
STALL_S = 60.0
# Raised inside the application, too, when it reads a body that is none.
BROKEN_REQUESTS = (ParseException,)
STATUSES = (
    (LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG),
    (LimitRequestHeaders, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    (ParseException, HTTPStatus.BAD_REQUEST),
)


class Worker(ThreadWorker):
    """One process of the boot server."""

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Body and answer must move; the time for the headers is the listener's (see serving.open_listener)."""
        conn.sock.settimeout(STALL_S)
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Answers what never became a request, or what broke beneath the application."""
        status = next((status for kind, status in STATUSES if isinstance(exc, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.exception("fault beneath the application")
        try:
            client.settimeout(1.0)
            client.sendall(_problem(status, str(exc) if status < HTTPStatus.INTERNAL_SERVER_ERROR else "a fault of the server"))
        except OSError as error:
            self.log.debug("nobody is left to hear of it: %s", error)


class QuietLogger(Logger):
    """A board that was switched off is worth a line, not a traceback."""

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, TimeoutError | BlockingIOError | ConnectionError):
            self.info("a client stalled or went away: %s", error)
        else:
            super().exception(msg, *args, **kwargs)


def _problem(status: HTTPStatus, detail: str) -> bytes:
    document = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    body = json.dumps(document).encode() + b"\n"
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/problem+json\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
