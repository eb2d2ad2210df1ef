"""Asking for a plan: lost answers, busy servers, refusals, and answers that are no plan."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bootpilot_agent.errors import PlanError, QuestionRefusedError, ServerError, TransportError
from bootpilot_agent.hardware import read_inventory
from bootpilot_agent.plan import Plan, Report
from bootpilot_agent.plan_client import PlanClient, retry_after_s
from bootpilot_agent.report import Board, Boot, Build, make_report, new_boot_id
from bootpilot_agent.transport import Answer, Route, Transport
from tests.fakes.board import candidate
from tests.fakes.boot_server import JSON_TYPE, FakeBootServer, problem
from tests.fakes.kernels import bzimage
from tests.fakes.scripted_server import Reply

LOST = Reply(lost=True)


@pytest.fixture
def server() -> Iterator[FakeBootServer]:
    with FakeBootServer() as running:
        running.offer(bzimage())
        yield running


@dataclass
class Asking:
    """One board that asks one server."""

    server: str
    slept: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def ask(self, report: Report | None = None, token: str = "", patience_s: float = 100.0) -> Plan:
        transport = Transport(Route())
        client = PlanClient(transport, self.server, "amd64", self.said.append, lambda: 0.0, self.slept.append)
        try:
            return client.ask(report or a_report(), token, patience_s)
        finally:
            transport.close()


def a_report() -> Report:
    board = Board(Build("amd64", "0.1.0", "0" * 16, 0), (), read_inventory(Path("/nowhere")), False)
    return make_report(board, candidate().lease, Boot(new_boot_id()))


def test_a_lost_answer_is_asked_for_with_the_same_bytes(server: FakeBootServer) -> None:
    server.on("POST", "/v1/boot", LOST, LOST, server.give_plan)
    asking = Asking(server.url)
    report = a_report()
    assert asking.ask(report).nonce == report.nonce
    bodies = [request.body for request in server.asked("/v1/boot")]
    assert len(bodies) == 3
    assert len(set(bodies)) == 1
    assert asking.slept == [1.0, 2.0]


def test_an_answer_cut_in_the_middle_is_asked_for_again(server: FakeBootServer) -> None:
    def cut(request: object) -> Reply:
        return Reply(200, b'{"version": 1, ', (JSON_TYPE,), length=500, cut_after=15)

    server.on("POST", "/v1/boot", cut, server.give_plan)
    assert Asking(server.url).ask().action == "boot"


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_given_the_time_it_asks_for(server: FakeBootServer, status: int) -> None:
    server.on("POST", "/v1/boot", problem(status, "too many boards", ("Retry-After", "9")), server.give_plan)
    asking = Asking(server.url)
    assert asking.ask().action == "boot"
    assert asking.slept == [9.0]
    assert "too many boards" in asking.said[0]


def test_a_server_that_is_busy_for_long_sends_the_board_back_to_the_search(server: FakeBootServer) -> None:
    server.on("POST", "/v1/boot", problem(503, "closed for the night", ("Retry-After", "3000")))
    with pytest.raises(ServerError, match="closed for the night") as raised:
        Asking(server.url).ask()
    assert raised.value.retry_after_s == 3000


def test_a_fault_of_the_server_is_asked_again_with_growing_waits(server: FakeBootServer) -> None:
    server.on(
        "POST", "/v1/boot", problem(500, "database is gone"), Reply(502, b"<html>bad gateway"), Reply(500), server.give_plan
    )
    asking = Asking(server.url)
    asking.ask()
    assert asking.slept == [1.0, 2.0, 4.0]


def test_a_server_that_never_recovers_is_reported_with_its_own_words(server: FakeBootServer) -> None:
    server.on("POST", "/v1/boot", problem(500, "database is gone"))
    with pytest.raises(ServerError, match="HTTP 500 from the boot server: database is gone"):
        Asking(server.url).ask(patience_s=3.0)


def test_answers_that_are_lost_for_ever_end_the_question(server: FakeBootServer) -> None:
    server.on("POST", "/v1/boot", LOST)
    with pytest.raises(TransportError):
        Asking(server.url).ask(patience_s=3.0)


@pytest.mark.parametrize("status", [400, 403, 404, 413, 422])
def test_a_refused_request_is_not_repeated_soon(server: FakeBootServer, status: int) -> None:
    server.on("POST", "/v1/boot", problem(status, "simulated reports are not taken here"))
    with pytest.raises(ServerError, match="simulated reports are not taken here") as raised:
        Asking(server.url).ask()
    assert raised.value.retry_after_s == 60
    assert len(server.asked("/v1/boot")) == 1


def test_a_conflict_is_told_apart_from_other_refusals(server: FakeBootServer) -> None:
    server.on("POST", "/v1/boot", problem(409, "this nonce was used with another body"))
    with pytest.raises(QuestionRefusedError, match="another body"):
        Asking(server.url).ask()


def test_the_token_is_shown_only_when_there_is_one(server: FakeBootServer) -> None:
    Asking(server.url).ask()
    Asking(server.url).ask(token="earlier-token")
    assert [request.headers.get("authorization") for request in server.asked("/v1/boot")] == [None, "Bearer earlier-token"]


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (Reply(200, b"<html>Please log in</html>", (("Content-Type", "text/html"),)), "body: expected JSON"),
        (Reply(200, b"", (JSON_TYPE,)), "body: expected JSON"),
        (Reply(200, b"[]", (JSON_TYPE,)), "body: expected a JSON object"),
        (Reply(200, b'{"version": 2}', (JSON_TYPE,)), "version: expected protocol version 1, got 2"),
        (Reply(200, b'{"version": 1, "version": 1}', (JSON_TYPE,)), "body: expected each key once"),
        (Reply(200, b"[" * 60000, (JSON_TYPE,)), "body: expected JSON"),
        (Reply(200, b"\xff\xfe", (JSON_TYPE,)), "body: expected JSON"),
    ],
)
def test_what_is_no_plan_is_refused_by_name(server: FakeBootServer, reply: Reply, complaint: str) -> None:
    server.on("POST", "/v1/boot", reply)
    with pytest.raises(PlanError, match=complaint):
        Asking(server.url).ask()


@pytest.mark.parametrize("reply", [Reply(200, endless=True, length=None), Reply(200, bytes(70000))])
def test_an_answer_without_end_is_cut(server: FakeBootServer, reply: Reply) -> None:
    server.on("POST", "/v1/boot", reply)
    with pytest.raises(TransportError, match="more than 65536 bytes"):
        Asking(server.url).ask(patience_s=0.5)


def test_a_redirect_of_the_question_is_not_followed(server: FakeBootServer) -> None:
    server.on("POST", "/v1/boot", Reply(307, headers=(("Location", "/elsewhere"),)))
    with pytest.raises(ServerError, match="HTTP 307"):
        Asking(server.url).ask()
    assert server.asked("/elsewhere") == []


DATE = ("date", "Fri, 20 Nov 2026 10:00:00 GMT")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "30"}, 30),
        ({"retry-after": "0"}, 1),
        ({"retry-after": "999999"}, 3600),
        ({"retry-after": "99999999999999999999"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "Fri, 20 Nov 2026 10:02:00 GMT", DATE[0]: DATE[1]}, 120),
        ({"retry-after": "Fri, 20 Nov 2026 09:02:00 GMT", DATE[0]: DATE[1]}, 1),
        ({"retry-after": "Fri, 20 Nov 2026 10:02:00 GMT"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_kept_within_reason(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(Answer(503, headers, b"")) == seconds


EDITS: list[tuple[Callable[[dict[str, object]], object], str]] = [
    (lambda plan: plan.pop("token"), "token"),
    (lambda plan: plan.update(node_id="../etc"), "node_id"),
    (lambda plan: plan.update(valid_s=0), "valid_s"),
    (lambda plan: plan.update(fetch_deadline_s="60"), "fetch_deadline_s"),
    (lambda plan: plan.update(writes_disk=0), "writes_disk"),
    (lambda plan: plan.update(action="dance"), "action"),
    (lambda plan: plan.update(watchdog="maybe"), "watchdog"),
    (lambda plan: plan.update(boot=None), "boot"),
    (lambda plan: plan.update(token="a\nb"), "token"),
]


@pytest.mark.parametrize(("edit", "field_name"), EDITS)
def test_a_plan_with_a_wrong_field_is_refused_by_the_fields_name(
    server: FakeBootServer, edit: Callable[[dict[str, object]], object], field_name: str
) -> None:
    server.edits.append(edit)  # type: ignore[arg-type]
    with pytest.raises(PlanError, match=rf"^plan: {field_name}: expected") as raised:
        Asking(server.url).ask()
    assert raised.value.hint


def boot_edits() -> list[tuple[str, object, str]]:
    """(path in the boot part, value, field named)."""
    return [
        ("kernel.urls", ["file:///etc/shadow"], "boot.kernel.urls[0]"),
        ("kernel.urls", ["//evil/x"], "boot.kernel.urls[0]"),
        ("kernel.urls", ["http://user:pw@host/x"], "boot.kernel.urls[0]"),
        ("kernel.urls", [], "boot.kernel.urls"),
        ("kernel.size", -1, "boot.kernel.size"),
        ("kernel.size", 0, "boot.kernel.size"),
        ("kernel.size", 2**50, "boot.kernel.size"),
        ("kernel.size", 1.5, "boot.kernel.size"),
        ("kernel.sha256", "A" * 64, "boot.kernel.sha256"),
        ("kernel.sha256", None, "boot.kernel.sha256"),
        ("initrds", "none", "boot.initrds"),
        ("dtb", {"policy": "file"}, "boot.dtb.artifact"),
        ("dtb", {"policy": "guess"}, "boot.dtb.policy"),
        ("command_line", "a\nb", "boot.command_line"),
        ("command_line", "a\0b", "boot.command_line"),
        ("command_line", "x" * 2048, "boot.command_line"),
        ("command_line", "é", "boot.command_line"),
        ("files", [{"path": "/a/../b", "url": "/x", "size": 1, "sha256": "0" * 64, "mode": 420}], "boot.files[0].path"),
        (
            "files",
            [{"path": "/bootpilot/boot.json", "url": "/x", "size": 1, "sha256": "0" * 64, "mode": 420}],
            "boot.files[0].path",
        ),
        ("files", [{"path": "/a", "url": "/x", "size": 1, "sha256": "0" * 64, "mode": 65536}], "boot.files[0].mode"),
    ]


@pytest.mark.parametrize(("path", "value", "named"), boot_edits())
def test_a_payload_that_must_not_be_booted_is_refused_by_the_fields_name(
    server: FakeBootServer, path: str, value: object, named: str
) -> None:
    *folders, last = path.split(".")
    target = json.loads(json.dumps(server.boot))
    inner = target
    for folder in folders:
        inner = inner[folder]
    inner[last] = value
    server.boot = target
    with pytest.raises(PlanError) as raised:
        Asking(server.url).ask()
    assert raised.value.message.startswith(f"{named}: expected")
