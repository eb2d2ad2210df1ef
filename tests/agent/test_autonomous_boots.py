"""Boots from the board's own disk without a server: when they happen, when never, and what the system is told."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bootpilot_agent.autonomy import LEAST_S, MOVES_S, Autonomy, LimitedDeadline
from bootpilot_agent.evidence import EvidenceKind, grade_evidence
from bootpilot_agent.mark import Mark
from bootpilot_agent.mark_reader import DiskMark
from bootpilot_agent.plan import Report
from tests.fakes.board import NOTHING_BOOTED, FakeBoard, FakeClock
from tests.fakes.boot_files import put
from tests.fakes.boot_server import FakeBootServer, problem
from tests.fakes.disks import INSTALL, NODE, ROOT_PARTUUID, SERIAL, Part, add_disk, make_mark, mark_part
from tests.fakes.kernels import arm64_image

NOBODY = "http://127.0.0.1:1"
EVIDENCE = (grade_evidence(EvidenceKind.DT_SERIAL, SERIAL, "a test"),)
CARD = b"enrol = 'batch:0123456789abcdef'\n"


def make_board(tmp_path: Path, *servers: str, card: bytes | None = None) -> FakeBoard:
    return FakeBoard(tmp_path / "board", arch="arm64", servers=servers, serial=SERIAL, shell=False, card_text=card)


def add_system(board: FakeBoard, name: str, mark: Mark, kernel: bytes | None = None) -> None:
    folder = board.folder / f"system-{name}"
    put(folder, "/boot/vmlinuz-6.1", arm64_image() if kernel is None else kernel)
    put(folder, "/boot/initrd.img-6.1", "its initrd")
    put(folder, "/etc/kernel/cmdline", "root=PARTUUID=x ro\n")
    add_disk(board, name, mark_part(mark), Part(folder, partuuid=ROOT_PARTUUID))


def test_without_a_server_the_marks_system_is_started_when_its_time_is_over(tmp_path: Path) -> None:
    board = make_board(tmp_path, NOBODY, card=CARD)
    add_system(board, "sda", make_mark(120))
    assert board.boot().how == "kexec -e", board.console
    assert 120 <= board.clock.now_s < 125
    assert board.network.is_down
    assert board.watchdog.calls[-1] == "stop"
    assert f"starting install {INSTALL} on sda without a server" in board.console


def test_the_system_is_told_of_a_boot_that_no_server_knows_of(tmp_path: Path) -> None:
    board = make_board(tmp_path, NOBODY, card=CARD)
    add_system(board, "sda", make_mark(120))
    board.boot()
    loaded = board.run.loaded
    assert loaded is not None
    raw = loaded.file("bootpilot/report.json")
    report = Report.from_json(raw)
    assert (report.booted, report.enrol, report.lease.interface) == ("disk", "", "lo")
    assert report.last_attempt is not None
    assert report.last_attempt.stage == "network"
    assert report.boot_id not in (report.last_attempt.boot_id,)
    assert b"0123456789abcdef" not in raw.replace(b'"build_id": "0123456789abcdef"', b"").replace(b'["0123456789abcdef"]', b"")
    note = loaded.note
    assert (note["node_id"], note["install_id"], note["boot_id"]) == (NODE, INSTALL, report.boot_id)
    assert (note["token"], note["server"], note["server_source"]) == ("", NOBODY, "command line")
    assert (note["card_partuuid"], note["address"]) == ("0000abcd-01", "127.0.0.1/8")


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
def test_a_server_that_gives_no_plan_keeps_no_healthy_disk_down(status: int, server: FakeBootServer, tmp_path: Path) -> None:
    server.on("POST", "/v1/boot", problem(status, "no plan here", ("Retry-After", "3600")))
    board = make_board(tmp_path, server.url)
    add_system(board, "sda", make_mark(120))
    assert board.boot().how == "kexec -e", board.console
    assert board.clock.now_s < 130
    assert board.run.loaded is not None
    assert board.run.loaded.file("bootpilot/report.json")


def test_so_does_a_plan_that_is_refused_or_cannot_be_fetched(server: FakeBootServer, tmp_path: Path) -> None:
    server.edits.append(lambda plan: plan.update(requires=["teleport"]))
    refused = make_board(tmp_path / "a", server.url)
    add_system(refused, "sda", make_mark(120))
    assert refused.boot().how == "kexec -e", refused.console
    assert "requires teleport" in refused.console
    server.edits.clear()
    server.boot["kernel"] = {**dict(server.artifact(b"x")), "sha256": "0" * 64}
    unfetchable = make_board(tmp_path / "b", server.url)
    add_system(unfetchable, "sda", make_mark(120))
    assert unfetchable.boot().how == "kexec -e", unfetchable.console
    assert "FAILED at" in unfetchable.console
    assert unfetchable.run.loaded is not None
    assert unfetchable.run.loaded.kernel == arm64_image()


def test_a_server_that_says_wait_is_obeyed_for_as_long_as_it_says_so(server: FakeBootServer, tmp_path: Path) -> None:
    server.on("POST", "/v1/boot", server.give_wait(300))
    board = make_board(tmp_path, server.url)
    add_system(board, "sda", make_mark(60))
    assert board.boot().how == NOTHING_BOOTED
    assert "without a server at" not in board.console


def test_after_a_wait_the_time_runs_anew(server: FakeBootServer, tmp_path: Path) -> None:
    server.on("POST", "/v1/boot", server.give_wait(1000), problem(400, "no more"))
    board = make_board(tmp_path, server.url)
    add_system(board, "sda", make_mark(120))
    assert board.boot().how == "kexec -e", board.console
    assert 1120 <= board.clock.now_s < 1130


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        ([make_mark(None)], f"the mark of install {INSTALL} in sda1, started never without a server"),
        ([make_mark(60, serial="another")], "the mark on sda is that of another board (another)"),
        ([make_mark(60), make_mark(60, install_id=NODE)], "2 disks have a mark of this board: sda, sdb"),
        ([make_mark(60), make_mark(60)], "2 disks have a mark of this board: sda, sdb"),
        ([make_mark(60), make_mark(60, serial="another")], "the mark on sdb is that of another board"),
    ],
    ids=["never", "another board's", "two installs", "a copy", "one of another board's"],
)
def test_where_it_is_not_sure_whose_system_it_is_none_is_started(marks: list[Mark], words: str, tmp_path: Path) -> None:
    board = make_board(tmp_path, NOBODY)
    for name, mark in zip(("sda", "sdb"), marks, strict=False):
        add_system(board, name, mark)
    board.shell = False
    assert board.boot().how in (NOTHING_BOOTED, "reboot -f"), board.console
    assert board.console.count(words) == 1


def test_a_disk_that_does_not_start_is_tried_ever_more_seldom_and_the_server_asked_on(tmp_path: Path) -> None:
    board = make_board(tmp_path, NOBODY)
    add_system(board, "sda", make_mark(60), kernel=b"no kernel")
    assert board.boot().how == NOTHING_BOOTED
    tries = board.console.count("FAILED without a server at local: nothing that can be started")
    # 60, then after 60, 120, 240, ... up to 3600 s.
    assert 6 <= tries <= 8
    assert "nothing known (it starts with 6e 6f 20 6b 65 72 6e 65)" in board.console


def test_a_server_that_comes_back_is_asked_before_the_disk_is_tried_again(server: FakeBootServer, tmp_path: Path) -> None:
    board = make_board(tmp_path, NOBODY, server.url)
    server.offer(arm64_image(), b"an initrd")
    add_system(board, "sda", make_mark(0), kernel=b"no kernel")
    assert board.boot().how == "kexec -e", board.console
    assert board.run.loaded is not None
    assert board.run.loaded.command_line == "console=ttyS0 panic=10"


def test_a_jump_that_comes_back_ends_in_a_reboot(tmp_path: Path) -> None:
    board = make_board(tmp_path, NOBODY)
    board.run.jump_works = False
    add_system(board, "sda", make_mark(60))
    assert board.boot().how == "reboot -f", board.console
    assert "FAILED without a server at kexec" in board.console


def test_a_disk_that_appears_while_the_search_goes_on_counts(tmp_path: Path) -> None:
    board = make_board(tmp_path, NOBODY)

    def plug_in() -> None:
        if board.clock.now_s > 30 and not (board.root / "dev/sda").exists():
            add_system(board, "sda", make_mark(60))

    board.network.on_poll = plug_in
    assert board.boot().how == "kexec -e", board.console


def autonomy(clock: FakeClock, *marks: DiskMark, said: Callable[[str], object] = lambda text: None) -> Autonomy:
    made = Autonomy(said, lambda: 0.0, clock)
    made.learn(marks, EVIDENCE)
    return made


MARK = DiskMark("sda", "sda1", make_mark(100))


def test_a_mark_that_says_at_once_leaves_a_server_the_time_to_answer() -> None:
    clock = FakeClock()
    waiting = autonomy(clock, replace(MARK, mark=make_mark(0)))
    assert waiting.remaining_s() == LEAST_S
    clock.now_s = LEAST_S
    assert waiting.due_mark() is not None


def test_a_download_that_moves_is_not_cut_off_and_one_that_stands_is() -> None:
    clock = FakeClock()
    waiting = autonomy(clock, MARK)
    deadline = LimitedDeadline(3600, clock, waiting.fetching_s)
    clock.now_s = 99
    waiting.moved()
    clock.now_s = 101
    assert waiting.due_mark() is not None
    assert deadline.remaining_s() == 99 + MOVES_S - 101
    clock.now_s = 99 + MOVES_S
    assert deadline.passed()


def test_without_a_mark_a_deadline_is_what_it_was() -> None:
    clock = FakeClock()
    waiting = autonomy(clock)
    assert waiting.remaining_s() == float("inf")
    assert LimitedDeadline(3600, clock, waiting.fetching_s).remaining_s() == 3600


def test_evidence_that_counts_for_nothing_names_no_board() -> None:
    said: list[str] = []
    placeholder = replace(make_mark(60), evidence_kind="random-mac", evidence_value="02:00:00:00:00:01")
    made = Autonomy(said.append, lambda: 0.0, FakeClock())
    made.learn((DiskMark("sda", "sda1", placeholder),), (grade_evidence(EvidenceKind.RANDOM_MAC, "02:00:00:00:00:01", "eth0"),))
    assert made.remaining_s() == float("inf")
    assert said == ["no start without a server: the mark on sda is that of another board (02:00:00:00:00:01)"]
