"""The relay between board and server: carries what it is told to carry, and loses, doubles or delays the rest."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scripts.lab.relay import Call, Fate, relay

INSTALLING = {"events": [{"name": "installing", "data": {"stage": "unmarked"}}, {"name": "started", "data": {}}]}
EVENTS = "/v1/boots/b/events"


class EchoServer(ThreadingHTTPServer):
    """Answers with what it was sent, and remembers it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), EchoHandler)
        self.heard: list[tuple[str, bytes]] = []


class EchoHandler(BaseHTTPRequestHandler):
    server: EchoServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.path, body))
        self.send_response(202, "Taken")
        self.send_header("X-Token", self.headers["Authorization"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def echo() -> Iterator[EchoServer]:
    with EchoServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def post(port: int, body: bytes) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", EVENTS, body, {"Authorization": "Bearer t"})
    return connection.getresponse()


def test_what_is_carried_comes_as_it_was_and_the_answer_too() -> None:
    body = json.dumps(INSTALLING).encode() * 100_000
    with echo() as server, relay(lambda: server.server_address[1]) as carried:
        with post(carried.port, body) as answer:
            assert (answer.status, answer.reason, answer.headers["X-Token"]) == (202, "Taken", "Bearer t")
            assert answer.read() == body
        assert server.heard == [(EVENTS, body)]


@pytest.mark.parametrize(("fate", "heard"), [(Fate.LOSE, 0), (Fate.LOSE_ANSWER, 1)])
def test_what_is_lost_ends_the_connection_before_or_after_the_server_heard_it(fate: Fate, heard: int) -> None:
    with echo() as server, relay(lambda: server.server_address[1], lambda _: fate) as losing:
        with pytest.raises(http.client.RemoteDisconnected):
            post(losing.port, b"{}")
        assert len(server.heard) == heard


def test_what_is_doubled_is_heard_twice_and_answered_once() -> None:
    with echo() as server, relay(lambda: server.server_address[1], lambda _: Fate.DOUBLE) as doubling:
        with post(doubling.port, b"{}") as answer:
            assert answer.read() == b"{}"
        assert len(server.heard) == 2


def test_a_server_that_is_away_ends_the_connection() -> None:
    with echo() as server:
        port = server.server_address[1]
    with relay(lambda: port) as alone, pytest.raises(http.client.RemoteDisconnected):
        post(alone.port, b"{}")


def test_a_call_tells_which_stages_of_an_installation_are_in_it() -> None:
    assert Call("POST", EVENTS, json.dumps(INSTALLING).encode()).stages() == {"unmarked"}
    assert Call("POST", "/v1/boots/b/log?source=installer&offset=0", b"text").stages() == set()
    assert Call("POST", "/v1/boots/b/done", b"{}").ends("done")
