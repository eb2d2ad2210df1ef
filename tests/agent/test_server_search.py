"""Finding the server that answers, among interfaces and addresses that do not."""

from collections.abc import Callable, Iterator

import pytest

from bootpilot_agent.deadline import Deadline
from bootpilot_agent.errors import NetworkError
from bootpilot_agent.network import Candidate
from bootpilot_agent.raw_settings import CARD, DHCP
from bootpilot_agent.servers import Found, Search, check_hello, ways
from bootpilot_agent.settings import Settings
from bootpilot_agent.tls import CA_BUNDLE
from bootpilot_agent.transport import Answer
from tests.fakes.board import candidate
from tests.fakes.boot_server import JSON_TYPE, FakeBootServer, problem
from tests.fakes.scripted_server import Reply, ScriptedServer

# Taken by nobody, and refused at once.
CLOSED = "http://127.0.0.1:9"


class HurriedClock:
    """Half a second goes by each time that somebody looks, so that no test waits for the next attempt."""

    now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 0.5
        return self.now_s


@pytest.fixture
def server() -> Iterator[FakeBootServer]:
    with FakeBootServer() as running:
        yield running


def search(
    *servers: str,
    candidates: Callable[[], tuple[Candidate, ...]] = lambda: (candidate(),),
    said: list[str] | None = None,
    timeout_s: float = 20.0,
    earlier: Search | None = None,
) -> Found:
    settings = Settings(servers=servers, server_source=CARD if servers else "")
    chosen = earlier or Search(settings, CA_BUNDLE, (said if said is not None else []).append, lambda: 0.0, HurriedClock())
    found = chosen.find(candidates, lambda seconds: None, Deadline.after(timeout_s))
    found.transport.close()
    return found


def test_the_server_that_answers_is_found_among_dead_ones(server: FakeBootServer) -> None:
    said: list[str] = []
    found = search(CLOSED, server.url, said=said)
    assert found.way.server == server.url
    assert found.way.source == CARD


def test_a_server_that_says_nothing_does_not_hold_up_the_others(server: FakeBootServer) -> None:
    with ScriptedServer() as silent:
        silent.on("GET", "/v1/", Reply(stall_after=0, length=10))
        assert search(silent.url, server.url).way.server == server.url


def test_an_interface_that_is_not_there_costs_nothing(server: FakeBootServer) -> None:
    both = (candidate("nonexistent0", "192.0.2.1/24"), candidate())
    assert search(server.url, candidates=lambda: both).way.candidate.lease.interface == "lo"


def test_a_lease_that_comes_later_is_asked_at_once(server: FakeBootServer) -> None:
    polls: list[int] = []

    def candidates() -> tuple[Candidate, ...]:
        polls.append(1)
        return (candidate(),) if len(polls) > 3 else ()

    assert search(server.url, candidates=candidates).way.server == server.url


def test_a_server_that_comes_up_later_is_found(server: FakeBootServer) -> None:
    server.on("GET", "/v1/", Reply(502, b"<html>"), Reply(lost=True), Reply(200, b'{"version": 1}', (JSON_TYPE,)))
    said: list[str] = []
    assert search(server.url, said=said).way.server == server.url
    assert len(server.asked("/v1/")) == 3
    assert "HTTP 502" in said[0]


def test_a_boot_server_in_trouble_still_answers_as_one(server: FakeBootServer) -> None:
    server.on("GET", "/v1/", problem(503, "starting"))
    assert search(server.url).way.server == server.url


def test_a_captive_portal_is_no_boot_server(server: FakeBootServer) -> None:
    with ScriptedServer() as portal, ScriptedServer() as redirecting:
        portal.on("GET", "/v1/", Reply(200, b"<html>Please log in", (("Content-Type", "text/html"),)))
        redirecting.on("GET", "/v1/", Reply(302, headers=(("Location", "http://login.example/"),)))
        found = search(portal.url, redirecting.url, server.url)
    assert found.way.server == server.url


def test_where_the_last_try_failed_others_are_asked_first(server: FakeBootServer) -> None:
    with FakeBootServer() as lying:
        settings = Settings(servers=(lying.url, server.url), server_source=CARD)
        both = Search(settings, CA_BUNDLE, lambda text: None, lambda: 0.0)
        both.blame(ways((candidate(),), settings)[0])
        for _ in range(3):
            assert search(earlier=both).way.server == server.url


def test_a_blamed_server_is_still_used_when_it_is_the_only_one(server: FakeBootServer) -> None:
    settings = Settings(servers=(server.url,), server_source=CARD)
    only = Search(settings, CA_BUNDLE, lambda text: None, lambda: 0.0, HurriedClock())
    only.blame(ways((candidate(),), settings)[0])
    assert search(earlier=only).way.server == server.url


def test_the_search_ends_with_each_way_and_its_reason() -> None:
    with pytest.raises(NetworkError, match=r"127\.0\.0\.1:9 over lo \(127\.0\.0\.1/8\): .*Connection refused") as raised:
        search(CLOSED, timeout_s=0.5)
    assert raised.value.hint


@pytest.mark.parametrize(
    ("servers", "hint"), [((CLOSED,), "cable"), ((), "name one as `server` in bootpilot.txt, or give DHCP option 224")]
)
def test_without_a_lease_the_hint_says_what_to_do(servers: tuple[str, ...], hint: str) -> None:
    with pytest.raises(NetworkError) as raised:
        search(*servers, candidates=lambda: (), timeout_s=0.05)
    assert hint in raised.value.hint


def test_a_reason_is_said_once_and_not_at_every_attempt(server: FakeBootServer) -> None:
    said: list[str] = []
    server.on("GET", "/v1/", *[Reply(404)] * 3, Reply(200, b'{"version": 1}', (JSON_TYPE,)))
    search(server.url, said=said)
    assert len(said) == 1


def test_servers_of_the_card_shut_out_those_of_dhcp() -> None:
    offer = (candidate(servers=("http://rogue",)),)
    assert [way.server for way in ways(offer, Settings(servers=("http://own",), server_source=CARD))] == ["http://own"]
    assert [(way.server, way.source) for way in ways(offer, Settings())] == [("http://rogue", DHCP)]


def test_every_server_is_asked_over_every_lease() -> None:
    leases = (candidate("eth0"), candidate("eth1"))
    found = ways(leases, Settings(servers=("http://a", "http://b"), server_source=CARD))
    assert len(found) == 4


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (Answer(200, {}, b'{"version": 2}'), "protocol version 1, got 2"),
        (Answer(200, {}, b'{"service": "other"}'), "so it is no boot server"),
        (Answer(404, {}, b'{"version": 1}'), "HTTP 404, so it is no boot server"),
        (Answer(200, {"content-type": "application/problem+json"}, b"<html>"), "so it is no boot server"),
        (Answer(301, {"location": "http://x/"}, b""), "redirects to http://x/"),
    ],
)
def test_what_is_no_boot_server_is_told_by_what_it_says(answer: Answer, complaint: str) -> None:
    with pytest.raises(NetworkError, match=complaint):
        check_hello(answer)
