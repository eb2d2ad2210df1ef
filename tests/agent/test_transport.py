"""HTTP over one interface: what is never done, and failures in words."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpilot_agent.deadline import Deadline
from bootpilot_agent.errors import TransportError
from bootpilot_agent.transport import Answer, Route, Transport
from tests.fakes.scripted_server import Reply, ScriptedServer


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        running.on("GET", "/", Reply(200, b"hello", (("Set-Cookie", "a=b"),)))
        yield running


def ask(url: str, route: Route | None = None, timeout_s: float = 10.0, times: int = 1) -> Answer:
    transport = Transport(route or Route())
    try:
        for _ in range(times - 1):
            transport.ask("GET", url, deadline=Deadline.after(timeout_s))
        return transport.ask("GET", url, deadline=Deadline.after(timeout_s))
    finally:
        transport.close()


def test_an_answer_comes_whole(server: ScriptedServer) -> None:
    assert ask(server.url + "/").body == b"hello"


def test_proxies_netrc_and_cookies_do_not_exist(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password secret\n")
    netrc.chmod(0o600)
    for name, value in (("http_proxy", "http://127.0.0.1:9"), ("ALL_PROXY", "http://127.0.0.1:9"), ("NETRC", str(netrc))):
        monkeypatch.setenv(name, value)
    assert ask(server.url + "/", times=2).status == 200
    for request in server.requests:
        assert {"authorization", "cookie"}.isdisjoint(request.headers)


def test_one_connection_serves_several_requests(server: ScriptedServer) -> None:
    assert ask(server.url + "/", times=3).status == 200
    assert len(server.requests) == 3
    assert server.connections == 1


def test_a_socket_is_bound_to_its_interface(server: ScriptedServer) -> None:
    assert ask(server.url + "/", Route("lo")).status == 200
    with pytest.raises(TransportError, match="No such device"):
        ask(server.url + "/", Route("nonexistent0"))


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(lost=True), "closed connection without response"),
        (Reply(200, b"half", length=100, cut_after=4), "4 bytes read"),
        (Reply(200, b"x" * 70000), "more than 65536 bytes"),
        (Reply(200, b"never", stall_after=0), "not finished in time"),
        (Reply(200, b"slow", (("X", "y" * 1000),), drip_headers=True), "not finished in time"),
        (Reply(200, b"slow" * 100, drip_s=0.05), "not finished in time"),
    ],
)
def test_every_failure_is_told_in_words(server: ScriptedServer, reply: Reply, words: str) -> None:
    server.on("GET", "/broken", reply)
    with pytest.raises(TransportError, match=words):
        ask(server.url + "/broken", timeout_s=0.5)


def test_a_header_line_without_end_is_a_failure_too(server: ScriptedServer) -> None:
    server.on("GET", "/long", Reply(200, headers=(("X", "y" * 100_000),)))
    with pytest.raises(TransportError):
        ask(server.url + "/long")


def test_a_refused_connection_names_the_address(server: ScriptedServer) -> None:
    with pytest.raises(TransportError, match=r"127\.0\.0\.1 port 9: .*Connection refused"):
        ask("http://127.0.0.1:9/")
