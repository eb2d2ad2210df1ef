"""Stands between a simulated board and its boot server, and does to their talk what a bad day does: loses, doubles, delays.

It carries HTTP/1.1 and changes nothing in what it carries. What becomes of a request, a test says; what is in it, `Call` tells.
"""

import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SERVER_TIMEOUT_S = 120.0
CHUNK_BYTES = 1 << 16
# What belongs to one connection and not to the message (RFC 9110, 7.6.1).
OF_THE_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding"})


class Fate(Enum):
    """What becomes of a request."""

    CARRY = "it is carried to the server, and the answer back"
    LOSE = "it never reaches the server, and the board sees its connection end"
    LOSE_ANSWER = "the server gets it, and the board sees its connection end"
    DOUBLE = "the server gets it twice; the second answer is carried back"


@dataclass
class Call:
    """One request as a board made it. `is_answered`: the server has answered it, and the board was told if it was to be."""

    method: str
    path: str
    body: bytes
    is_answered: bool = False

    def ends(self, word: str) -> bool:
        """Whether it goes to this part of a boot's channel: `events`, `log`, `done`, `failed`; or to `boot`."""
        return self.path.partition("?")[0].endswith(f"/{word}")

    def events(self) -> list[dict[str, Any]]:
        """The events it carries."""
        return list(json.loads(self.body)["events"]) if self.method == "POST" and self.ends("events") else []

    def names(self) -> set[str]:
        """The names of the events it carries."""
        return {str(event["name"]) for event in self.events()}

    def stages(self) -> set[str]:
        """The stages of an installation that it tells of."""
        return {str(event["data"]["stage"]) for event in self.events() if event["name"] == "installing"}


Judge = Callable[[Call], Fate]


def carry_all(_: Call) -> Fate:
    return Fate.CARRY


class Relay:
    """Listens on `port` of the loopback until it is closed. `judge` may be replaced at any time; it may also wait,
    which delays that one request. `calls` are all requests so far but those for artifacts.
    """

    def __init__(self, server_port: Callable[[], int], judge: Judge) -> None:
        self.judge = judge
        self.calls: list[Call] = []
        self._server_port = server_port
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.port = int(self._http.server_address[1])
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    @property
    def scheme(self) -> str:
        return "http"

    def close(self) -> None:
        """Nobody listens any more, for good: who connects is refused."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()

    def pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        """Carry one request as the judge wants it. Raises OSError or HTTPException where the server does not answer."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        call = Call(handler.command, handler.path, body)
        if not call.path.startswith("/artifacts/"):
            self.calls.append(call)
        fate = self.judge(call)
        if fate is Fate.LOSE:
            handler.close_connection = True
            return
        for last in (False, True) if fate is Fate.DOUBLE else (True,):
            with contextlib.closing(self._asked(call, handler)) as connection:
                answer = connection.getresponse()
                if last and fate is not Fate.LOSE_ANSWER:
                    _carry_back(answer, handler)
                else:
                    answer.read()
        call.is_answered = True
        if fate is Fate.LOSE_ANSWER:
            handler.close_connection = True

    def _asked(self, call: Call, handler: BaseHTTPRequestHandler) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self._server_port(), timeout=SERVER_TIMEOUT_S)
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in OF_THE_CONNECTION}
        connection.request(call.method, call.path, call.body or None, headers)
        return connection


def _carry_back(answer: http.client.HTTPResponse, handler: BaseHTTPRequestHandler) -> None:
    handler.send_response_only(answer.status, answer.reason)
    for name, value in answer.getheaders():
        if name.lower() not in OF_THE_CONNECTION:
            handler.send_header(name, value)
    handler.send_header("Connection", "close")
    handler.end_headers()
    while chunk := answer.read(CHUNK_BYTES):
        handler.wfile.write(chunk)
    handler.close_connection = True


def _handler(relay: Relay) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def carry(self) -> None:
            # A server that is away, or a board that is switched off: the other side sees the connection end.
            try:
                relay.pass_on(self)
            except (OSError, http.client.HTTPException):
                self.close_connection = True

        do_GET = do_HEAD = do_POST = do_PUT = carry  # noqa: N815 # the names that http.server looks for

        def log_message(self, *_: object) -> None:
            """Nothing: the server has its own log."""

    return Handler


@contextmanager
def relay(server_port: Callable[[], int], judge: Judge = carry_all) -> Iterator[Relay]:
    """A relay to the server that listens on `server_port()` of the loopback at the time of each request."""
    made = Relay(server_port, judge)
    try:
        yield made
    finally:
        made.close()
