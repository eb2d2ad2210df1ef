"""The flight recorder: whole boots, in process, leave recordings that hold what went through the agent's doors."""

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from bootpilot_agent import recording
from bootpilot_agent.events import EventName
from bootpilot_agent.fields import Json
from bootpilot_agent.flight import FOLD_WORDS
from bootpilot_agent.main import Edges
from bootpilot_agent.recorded_edges import DECIDED, RecordedEdges
from bootpilot_agent.recorded_http import HttpLine
from bootpilot_agent.recording import Recording
from bootpilot_agent.recording_lines import (
    BlocksLine,
    EventLine,
    FileLine,
    KexecLine,
    RunLine,
    SayLine,
    StepLine,
)
from bootpilot_agent.recording_secrets import STAND_IN
from tests.fakes.boot_server import TOKEN, FakeBootServer, problem
from tests.fakes.recorded_board import RecordedBoard
from tests.fakes.scripted_server import Reply

ENROL = "grid:c4n4ry-secret-0042"
PRESEED = b"d-i passwd/root-password password c4n4ry-pa55\n"
# main.Edges in the order of a boot that works.
STEPS = [
    "load_drivers",
    "read_settings",
    "read_evidence",
    "start_network",
    "find_server",
    "ask_plan",
    "check_fit",
    "fetch_payload",
    "load_kexec",
    "hand_over",
]


@pytest.fixture
def recording_server(server: FakeBootServer) -> FakeBootServer:
    """A boot server that takes recordings."""
    server.on("PUT", "/v1/boots/*", Reply(200, b"{}"))
    return server


def sent(server: FakeBootServer) -> list[bytes]:
    return [request.body for request in server.requests if request.method == "PUT" and request.path.endswith("/recording")]


def only(server: FakeBootServer) -> Recording:
    (raw,) = sent(server)
    return recording.read(raw)


def of(found: Recording, kind: type) -> list[object]:
    return [timed.line for timed in found.lines if isinstance(timed.line, kind)]


def exchanges(found: Recording) -> list[HttpLine]:
    return [timed.line for timed in found.lines if isinstance(timed.line, HttpLine)]


def wish_for_it(plan: dict[str, Json]) -> None:
    plan["record"] = True


def make_board(folder: Path, server: FakeBootServer, **more: object) -> RecordedBoard:
    board = RecordedBoard(folder, servers=(server.url,), **more)  # type: ignore[arg-type]
    block = board.root / "sys/block/sda"
    block.mkdir(parents=True)
    (block / "size").write_text("2048\n")
    (board.root / "dev").mkdir()
    (board.root / "dev/sda").write_bytes(bytes(510) + b"\x55\xaa" + bytes(1 << 20))
    (board.root / "sys/firmware/devicetree/base").mkdir(parents=True, exist_ok=True)
    (board.root / "sys/firmware/devicetree/base/serial-number").write_text("1000abcd\0")
    (board.root / "sys/firmware/fdt").write_bytes(b"\xd0\x0d\xfe\xed" + bytes(4000))
    return board


def test_a_boot_that_is_to_be_recorded_leaves_all_that_went_in_and_all_that_was_done(
    recording_server: FakeBootServer, tmp_path: Path
) -> None:
    server = recording_server
    server.edits.append(wish_for_it)
    board = make_board(tmp_path, server)
    assert board.boot().how == "kexec -e", board.console
    found = only(server)
    report = server.reports[0]
    assert (found.header.boot_id, found.header.build_id, found.header.arch) == (report.boot_id, report.build_id, "amd64")
    assert "record" in found.header.features
    files = {line.path: line for line in of(found, FileLine) if isinstance(line, FileLine)}
    assert files["proc/cmdline"].content == (board.root / "proc/cmdline").read_bytes()
    assert files["sys/firmware/devicetree/base/serial-number"].content == b"1000abcd\0"
    assert files["sys/firmware/fdt"].content == (board.root / "sys/firmware/fdt").read_bytes()
    assert files["proc/meminfo"].content.startswith(b"MemTotal")
    assert files["sys/block"].names == ("sda",)
    assert BlocksLine("sda", 0, bytes(510) + b"\x55\xaa") in of(found, BlocksLine)
    steps = [line.name for line in of(found, StepLine) if isinstance(line, StepLine) and line.ms is None]
    assert [name for name in steps if name in STEPS] == STEPS
    assert [line.name for line in of(found, EventLine) if isinstance(line, EventLine)] == [
        EventName.STARTED,
        EventName.NETWORK_UP,
        EventName.IDENTIFIED,
        EventName.PLANNED,
        EventName.FETCHED,
        EventName.LOADED,
        EventName.HANDOVER,
    ]
    (load,) = of(found, KexecLine)
    assert isinstance(load, KexecLine)
    assert load.command_line == "console=ttyS0 panic=10"
    kernel = server.boot["kernel"]
    assert isinstance(kernel, dict)
    assert load.digests["kernel"] == kernel["sha256"]
    assert any(line.argv[:2] == ("kexec", "-l") for line in of(found, RunLine) if isinstance(line, RunLine))
    assert any("plan: boot" in line.text for line in of(found, SayLine) if isinstance(line, SayLine))


def test_each_exchange_is_there_with_what_was_asked_and_answered(recording_server: FakeBootServer, tmp_path: Path) -> None:
    server = recording_server
    server.edits.append(wish_for_it)
    assert make_board(tmp_path, server).boot().how == "kexec -e"
    told = exchanges(only(server))
    asked = [(line.method, line.url.removeprefix(server.url)) for line in told]
    assert asked[:2] == [("GET", "/v1/"), ("POST", "/v1/boot")]
    assert told[0].answer.content == b'{"version": 1, "service": "bootpilot"}'
    assert told[0].interface == "lo"
    question, plan = json.loads(told[1].body.content or b""), json.loads(told[1].answer.content or b"")
    assert question["boot_id"] == plan["boot_id"] == server.reports[0].boot_id
    assert question["nonce"] == plan["nonce"] != server.reports[0].nonce
    assert plan["token"] == STAND_IN
    kernel = server.boot["kernel"]
    assert isinstance(kernel, dict)
    (fetched,) = [line for line in told if line.url.endswith(str(kernel["sha256"]))]
    assert (fetched.status, fetched.answer.content) == (200, None)
    assert (fetched.answer.size_bytes, fetched.answer.sha256) == (kernel["size"], kernel["sha256"])
    assert fetched.marks[-1][1] == kernel["size"]
    assert fetched.answer_headers["etag"] == f'"{kernel["sha256"]}"'


def test_a_boot_that_fails_sends_its_recording_unasked(recording_server: FakeBootServer, tmp_path: Path) -> None:
    server = recording_server
    kernel = server.boot["kernel"]
    assert isinstance(kernel, dict)
    server.on("GET", f"/artifacts/sha256/{kernel['sha256']}", problem(404, "no such artifact"))
    board = make_board(tmp_path, server)
    assert board.boot().exit_code == 71, board.console
    found = only(server)
    (lost,) = [line for line in exchanges(found) if line.status == 404]
    assert lost.error == "HTTP 404"
    failed = [line for line in of(found, StepLine) if isinstance(line, StepLine) and line.error]
    assert failed[0].name == "fetch_payload"
    assert "fetch:" in failed[0].error
    assert any(isinstance(line, EventLine) and line.name == "failed" for line in of(found, EventLine))


def test_a_boot_that_works_sends_none_where_nobody_asked_for_it(recording_server: FakeBootServer, tmp_path: Path) -> None:
    assert make_board(tmp_path, recording_server).boot().how == "kexec -e"
    assert sent(recording_server) == []


def test_a_boot_works_the_same_whether_its_recording_is_taken_or_not(
    server: FakeBootServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootpilot_agent.edges.HANDOVER_RECORDING_S", 0.5)
    server.edits.append(wish_for_it)
    for number, answer in enumerate((problem(404, "no such thing"), problem(507, "full"), Reply(lost=True))):
        server.on("PUT", "/v1/boots/*", answer)
        board = make_board(tmp_path / str(number), server)
        assert board.boot().how == "kexec -e", board.console
        assert "the server did not take the recording of this boot; going on without" in board.console


def test_the_secrets_of_a_boot_are_nowhere_in_its_recording(recording_server: FakeBootServer, tmp_path: Path) -> None:
    server = recording_server
    server.boot["files"] = [server.file("/preseed.cfg", PRESEED, 0o600)]
    server.edits.append(wish_for_it)
    card = f'enrol = "{ENROL}"\nvendor_class = "grid"\n'.encode()
    board = make_board(tmp_path, server, card_text=card)
    (board.root / "bootpilot").mkdir()
    note = {"version": 1, "token": "t0ken-of-an-earlier-loader", "loader_builds": [], "enrol": ENROL}
    (board.root / "bootpilot/boot.json").write_text(json.dumps(note))
    (board.root / "bootpilot/card").mkdir()
    key = b"-----BEGIN PRIVATE KEY-----\nMIIEc4n4ryKey\n-----END PRIVATE KEY-----\n"
    (board.root / "bootpilot/card/site-ca.pem").write_bytes(key)
    (board.root / "bootpilot/card/bootpilot.txt").write_bytes(card)
    assert board.boot().how == "kexec -e", board.console
    (raw,) = sent(server)
    plain = gzip.decompress(raw)
    assert b"vendor_class" in plain
    assert server.reports[0].enrol == ENROL
    secrets = {
        "token": TOKEN,
        "token of an earlier loader": "t0ken-of-an-earlier-loader",
        "enrol": ENROL,
        "enrol's secret": ENROL.partition(":")[2],
        "nonce": server.reports[0].nonce,
        "file": "c4n4ry-pa55",
        "digest of the file": hashlib.sha256(PRESEED).hexdigest(),
        "key": "MIIEc4n4ryKey",
    }
    forms = {what: [text, text.encode().hex(), text[::-1]] for what, text in secrets.items()}
    assert [what for what, texts in forms.items() if any(text.encode() in plain for text in texts)] == []
    base64 = [line.content for line in of(recording.read(raw), FileLine) if isinstance(line, FileLine)]
    assert not any(text.encode() in content for content in base64 for text in secrets.values())


def test_the_next_try_begins_a_recording_of_its_own_with_what_the_board_is(
    recording_server: FakeBootServer, tmp_path: Path
) -> None:
    server = recording_server
    server.edits.append(wish_for_it)
    kernel = server.boot["kernel"]
    assert isinstance(kernel, dict)
    # Refused once; the board tries again, and is served.
    server._routes[("GET", f"/artifacts/sha256/{kernel['sha256']}")].insert(0, problem(404, "not yet"))
    board = make_board(tmp_path, server, shell=False)
    assert board.boot().how == "kexec -e", board.console
    first, second = (recording.read(raw) for raw in sent(server))
    assert first.header.boot_id != second.header.boot_id
    assert second.header.started_ms > first.header.started_ms
    for found in (first, second):
        assert any(isinstance(line, FileLine) and line.path == "proc/cmdline" for line in of(found, FileLine))
    starts = [line for line in of(second, EventLine) if isinstance(line, EventLine) and line.name == "started"]
    assert len(starts) == 1
    assert not any(line.status == 404 for line in exchanges(second))


def test_a_wrapped_step_is_every_step_of_the_boot() -> None:
    assert set(DECIDED) | set(STEPS) <= {name for name in vars(Edges) if not name.startswith("_")}


def test_a_fault_of_the_recorder_ends_the_recording_and_not_the_boot(
    recording_server: FakeBootServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RecordedEdges, "_begin", lambda *_: 1 / 0)
    board = make_board(tmp_path, recording_server)
    assert board.boot().how == "kexec -e", board.console
    assert "recorder: ZeroDivisionError: division by zero; nothing more of this boot is recorded" in board.console


def test_a_boot_whose_recording_nobody_wants_makes_none(recording_server: FakeBootServer, tmp_path: Path) -> None:
    board = make_board(tmp_path, recording_server)
    assert board.boot().how == "kexec -e"
    assert board.flight._recorder is None
    assert 50 < len(board.flight._words) < FOLD_WORDS
