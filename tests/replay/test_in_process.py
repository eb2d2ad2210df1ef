"""A boot that was recorded is replayed in process: the same agent does the same, and a changed one is found out."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bootpilot_agent import attention, journal, transport
from bootpilot_agent.deadline import Deadline
from bootpilot_agent.edges import BoardEdges
from bootpilot_agent.fields import Json
from bootpilot_agent.flat_tree import FlatTree, Node, write_tree
from bootpilot_agent.inventory import Inventory, KexecCapability
from bootpilot_agent.journal import Journal
from bootpilot_agent.kexec import load_argv
from bootpilot_agent.payload import Payload
from bootpilot_agent.plan_client import PlanClient
from bootpilot_agent.recording import read
from bootpilot_agent.taps import Tap, tap
from scripts.replaying.verdict import Answer
from tests.agent.test_kexec_segments import QEMU
from tests.fakes.boot_server import FakeBootServer, problem
from tests.fakes.scripted_server import Reply
from tests.replay.boots import INITRD, KERNEL, changed, path_of, record, replay

HELLO = Reply(200, b'{"version": 1, "service": "bootpilot"}', (("Content-Type", "application/json"),))
PORTAL = Reply(200, b"<html>", (("Content-Type", "text/html"),))


def busy_then_lost(server: FakeBootServer) -> None:
    server.on("POST", "/v1/boot", problem(503, "busy", ("Retry-After", "1")), Reply(lost=True), server.give_plan)


def reset_in_the_kernel(server: FakeBootServer) -> None:
    broken = Reply(200, KERNEL, (("ETag", '"x"'),), cut_after=7000, reset=True)
    server._routes["GET", path_of(server, "kernel")].insert(0, broken)


def cut_in_the_initrd(server: FakeBootServer) -> None:
    server._routes["GET", path_of(server, "initrds")].insert(0, Reply(200, INITRD, cut_after=100))


def wait_twice(server: FakeBootServer) -> None:
    server.on("POST", "/v1/boot", server.give_wait(1), server.give_wait(1, "maintenance"), server.give_plan)


def portal_then_nothing(server: FakeBootServer) -> None:
    server.on("GET", "/v1/", PORTAL, Reply(lost=True), HELLO)


def refused_questions(server: FakeBootServer) -> None:
    server.on("POST", "/v1/boot", problem(409, "ask anew"), problem(409, "who are you?"), server.give_plan)


def no_kernel(server: FakeBootServer) -> None:
    server.on("GET", path_of(server, "kernel"), problem(404, "no such artifact"))


def wrong_kernel(server: FakeBootServer) -> None:
    server.on("GET", path_of(server, "kernel"), Reply(200, KERNEL[:-1] + b"x"))


def wrong_length(server: FakeBootServer) -> None:
    server.on("GET", path_of(server, "kernel"), Reply(200, KERNEL, length=17))


def refusing_server(server: FakeBootServer) -> None:
    server.on("POST", "/v1/boot", server.give_wait(1), problem(403, "not here"))


def with_a_secret_file(server: FakeBootServer) -> None:
    server.boot["files"] = [server.file("/preseed.cfg", b"d-i passwd/root-password password c4n4ry\n", 0o600)]


def deaf_to_events(server: FakeBootServer) -> None:
    server.on("POST", "/v1/boots/*", Reply(503), Reply(204))


def endless_plan(server: FakeBootServer) -> None:
    server.on("POST", "/v1/boot", Reply(200, b"{" + bytes(70_000)), server.give_plan)


BOOTS = {
    function.__name__: function
    for function in (
        busy_then_lost,
        reset_in_the_kernel,
        cut_in_the_initrd,
        wait_twice,
        portal_then_nothing,
        refused_questions,
        with_a_secret_file,
        deaf_to_events,
        endless_plan,
    )
}
FAILURES = {function.__name__: function for function in (no_kernel, wrong_kernel, wrong_length, refusing_server)}


def only(raws: list[bytes]) -> bytes:
    (raw,) = raws
    return raw


def test_a_boot_that_worked_is_the_same_twenty_times_of_twenty(tmp_path: Path) -> None:
    raw = only(record(tmp_path))
    found = [replay(raw) for _ in range(20)]
    assert [verdict.differences for verdict, _ in found] == [()] * 20
    assert {verdict.answer for verdict, _ in found} == {Answer.SAME}
    assert {performed.how for _, performed in found} == {"kexec -e"}
    assert {verdict.compared for verdict, _ in found} == {"5 requests, 7 events, 11 steps, 1 kexec calls"}


@pytest.mark.parametrize("name", BOOTS)
def test_a_boot_with_trouble_on_its_way_is_the_same(name: str, tmp_path: Path) -> None:
    verdict, performed = replay(only(record(tmp_path, BOOTS[name])))
    assert verdict.differences == ()
    assert performed.how == "kexec -e", performed.console


@pytest.mark.parametrize("name", FAILURES)
def test_a_boot_that_failed_fails_the_same_way(name: str, tmp_path: Path) -> None:
    verdict, performed = replay(only(record(tmp_path, FAILURES[name])))
    assert verdict.differences == ()
    assert performed.how == "the failure is told", performed.console
    assert performed.events[-1].name == "failed"


def test_the_second_try_is_replayed_with_what_the_first_one_left(tmp_path: Path) -> None:
    def once(server: FakeBootServer) -> None:
        server._routes["GET", path_of(server, "kernel")].insert(0, problem(404, "not yet"))

    first, second = record(tmp_path, once, shell=False)
    assert replay(first)[0].differences == replay(second)[0].differences == ()
    assert replay(second)[1].how == "kexec -e"


def test_a_failure_that_no_server_heard_of_is_told_in_the_replay_too(tmp_path: Path) -> None:
    """The question of the second try brings it."""

    def refuse_once(server: FakeBootServer) -> None:
        server.on("POST", "/v1/boot", problem(403, "not here"), server.give_plan)

    raw = only(record(tmp_path, refuse_once, shell=False))
    (question,) = [line for line in lines_of(raw) if line.get("method") == "POST" and line["url"].endswith("/v1/boot")]
    assert json.loads(question["body"])["last_attempt"]["stage"] == "server"
    assert replay(raw)[0].differences == ()


def test_a_changed_retry_rule_is_named_at_the_first_request_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = only(record(tmp_path, busy_then_lost))
    monkeypatch.setattr(PlanClient, "_busy", lambda *_: 10_000.0)
    verdict, _ = replay(raw)
    assert verdict.answer is Answer.DIFFERS
    assert verdict.differences[0].where.startswith("a request that the recorded boot made is missing: POST http://")
    assert verdict.differences[0].where.endswith("/v1/boot")


def test_a_field_that_is_missing_in_the_report_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = only(record(tmp_path))
    whole = Inventory.to_json
    monkeypatch.setattr(
        Inventory, "to_json", lambda self: {name: value for name, value in whole(self).items() if name != "memory_bytes"}
    )
    first = replay(raw)[0].differences[0]
    assert first.where.startswith("request 2, POST http://127.0.0.1:")
    assert first.where.endswith("/v1/boot, field memory_bytes")
    assert (first.expected, first.got) == ("1036641280", "nothing")


def forget_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bootpilot_agent.plan_client.PlanClient.ask", _without_token(PlanClient.ask))


def _without_token(ask: Callable[..., object]) -> Callable[..., object]:
    return lambda self, report, token, patience_s: ask(self, report, "", patience_s)


def repeat_the_nonce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bootpilot_agent.report.new_nonce", lambda: "ab" * 32)


def add_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    def longer(payload: Payload, arch: str, capability: KexecCapability) -> list[str]:
        words = load_argv(payload, arch, capability)
        return [f"{word} quiet" if word.startswith("--command-line=") else word for word in words]

    monkeypatch.setattr("bootpilot_agent.kexec.load_argv", longer)


def lose_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    add = Journal.add
    monkeypatch.setattr(Journal, "add", lambda self, name, **more: None if name == "loaded" else add(self, name, **more))


def stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bootpilot_agent.edges.BoardEdges.jump", lambda self: time.sleep(0))


def start_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bootpilot_agent.fetch.Fetcher._headers", lambda *_: {})


DEFECTS: dict[str, tuple[Callable[[FakeBootServer], None], Callable[[pytest.MonkeyPatch], None], str]] = {
    "token": (wait_twice, forget_the_token, "/v1/boot, header authorization"),
    "nonce": (wait_twice, repeat_the_nonce, "/v1/boot, field nonce"),
    "word": (wait_twice, add_a_word, "kexec call 1, word 3 of the command line"),
    "event": (wait_twice, lose_an_event, "event 6"),
    "jump": (wait_twice, stay, "event 8"),
    "range": (cut_in_the_initrd, start_over, ", header range"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_each_defect_is_named_where_it_shows_first(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up, spoil, where = DEFECTS[name]
    raw = only(record(tmp_path, set_up))
    assert replay(raw)[0].answer is Answer.SAME
    spoil(monkeypatch)
    verdict, performed = replay(raw)
    assert verdict.answer is Answer.DIFFERS, performed.console
    assert verdict.differences[0].where.endswith(where), verdict.differences[0]


# The only ones: times, the agent's own version, and what the agent is given out of the report (in_process.py, notes_on).
NOT_COMPARED = {"clock.unix_s", "agent.version", "kexec.load", "kexec.file_load"}


def test_every_other_field_of_the_report_is_compared(tmp_path: Path) -> None:
    """Each is changed in a recording, one at a time: as if the agent of this checkout said something else."""
    raw = only(record(tmp_path))
    (question,) = [line["body"] for line in lines_of(raw) if line["url"].endswith("/v1/boot")]
    report = json.loads(question)
    unseen = set()
    for path in leaves_of(report):
        other = json.dumps(with_another(report, path))
        verdict, _ = replay(changed(raw, (json.dumps(question), json.dumps(other))))
        if verdict.answer is Answer.SAME:
            unseen.add(".".join(map(str, path)))
        elif path[0] not in ("boot_id", "nonce", "lease"):  # the plan, or the network, is then another boot's
            assert verdict.differences[0].where.partition("field ")[2].startswith(str(path[0]))
    # Without DHCP the lease is as the report has it; the notes say so.
    assert {name for name in unseen if not name.startswith("lease.")} == NOT_COMPARED
    assert any(note.startswith("lease is the recorded one") for note in replay(raw)[0].notes)


def leaves_of(value: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The place of everything that holds nothing else."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not inner or not value:
        yield path
    for key, one in inner:
        yield from leaves_of(one, (*path, key))


def with_another(value: Json, path: tuple[str | int, ...]) -> Json:
    """The same but for another value of the same kind at this place."""
    if not path:
        match value:
            case bool():
                return not value
            case int() | float():
                return value + 1
            case str():
                return f"other {value}"
            case _:
                return ["other"] if isinstance(value, list) else {"other": 1}
    if isinstance(value, dict):
        return {key: with_another(one, path[1:]) if key == path[0] else one for key, one in value.items()}
    assert isinstance(value, list)
    return [with_another(one, path[1:]) if key == path[0] else one for key, one in enumerate(value)]


def test_a_boot_that_stops_before_its_jump_is_not_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of its requests, events and words are the same by then."""

    def hang(edges: BoardEdges) -> None:
        while True:
            edges._attention.idle(60.0)

    raw = only(record(tmp_path))
    monkeypatch.setattr(BoardEdges, "jump", hang)
    verdict, _ = replay(raw)
    (difference,) = verdict.differences
    assert (difference.where, difference.got) == ("the end of the boot", "nothing more came of it")


def test_a_replay_goes_as_far_as_it_is_told(tmp_path: Path) -> None:
    raw = only(record(tmp_path, wait_twice))
    for stage, requests in (("find_server", 0), ("identified", 2), ("planned", 4), ("fetch_payload", 4), ("handover", 7)):
        verdict, performed = replay(raw, stage)
        assert verdict.differences == (), stage
        assert performed.how == f"as far as {stage}"
        assert verdict.compared.startswith(f"{requests} requests")


def test_a_board_that_waited_for_an_hour_is_replayed_at_once(tmp_path: Path) -> None:
    def wait(server: FakeBootServer) -> None:
        server.on("POST", "/v1/boot", *(server.give_wait(1) for _ in range(3)), server.give_plan)

    wait_longer = (r"\"retry_after_s\": 1,", r"\"retry_after_s\": 1000,")
    verdict, performed = replay(changed(only(record(tmp_path, wait)), wait_longer))
    assert verdict.differences == ()
    assert "asking again every 1000 s" in performed.console
    assert "[ 33" in performed.console  # by the board's own clock, with the jitter


RISCV64 = (('"arch":"amd64"', '"arch":"riscv64"'), (r"\"arch\": \"amd64\"", r"\"arch\": \"riscv64\""))


def test_a_board_whose_agent_asks_the_kernel_by_itself_is_replayed_without_a_kernel(tmp_path: Path) -> None:
    tree = write_tree(FlatTree(Node("", {"serial-number": b"cafe\0"}), []))
    files = {"sys/firmware/fdt": tree, "proc/iomem": QEMU.encode()}
    raw = changed(only(record(tmp_path, files=files)), *RISCV64)
    verdict, performed = replay(raw)
    assert verdict.differences == (), performed.console
    assert performed.how == "kexec jump"
    refused = changed(raw, ('"k":"step","name":"load_kexec","ms"', '"k":"step","name":"load_kexec","error":"x (EBUSY)","ms"'))
    verdict, performed = replay(refused)
    assert "another image is being loaded, or CPUs are stuck in the running kernel (EBUSY)" in performed.console
    assert verdict.answer is Answer.DIFFERS


def test_nothing_of_a_recording_is_in_the_agent_afterwards(tmp_path: Path) -> None:
    before = (vars(transport)["BoundAdapter"], vars(attention.Worker).get("start"))
    replay(only(record(tmp_path)))
    assert (vars(transport)["BoundAdapter"], vars(attention.Worker).get("start")) == before
    assert vars(journal)["time"] is time
    assert vars(journal)["threading"] is threading
    assert Deadline.after(1).clock is time.monotonic
    assert type(tap()) is Tap


def lines_of(raw: bytes) -> list[dict[str, str]]:
    """The HTTP lines, as they stand in the file."""
    return [json.loads(timed.to_bytes()) for timed in read(raw).lines if timed.line.kind == "http"]
