"""Boots that fail, by the server's fault, the payload's or the agent's own: named, told, and tried again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bootpilot_agent.edges import BoardEdges
from bootpilot_agent.errors import AgentError
from bootpilot_agent.events import EventName
from bootpilot_agent.fields import Json
from bootpilot_agent.journal import Journal
from bootpilot_agent.local_boot import Find, LocalBoot
from bootpilot_agent.main import keep_booting
from bootpilot_agent.recover import Recovery
from tests.fakes.board import NOTHING_BOOTED, PATIENCE_S, Ended, Ending, FakeBoard, candidate
from tests.fakes.boot_server import FakeBootServer, problem
from tests.fakes.kernels import arm64_image, bzimage
from tests.fakes.scripted_server import Reply


def test_a_board_that_no_server_answers_for_hours_reboots_and_never_while_a_person_wants_a_shell(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:1"
    board = FakeBoard(tmp_path / "a", servers=(nowhere,), shell=False, card_text=b"reboot_after = 1\n")
    assert board.boot().how == "reboot -f", board.console
    assert 3600 <= board.clock.now_s < PATIENCE_S
    assert "no boot server has answered for 1 h" in board.console
    for name, card_text, shell in (("b", b"reboot_after = 0\n", False), ("c", b"", False), ("d", b"reboot_after = 1\n", True)):
        other = FakeBoard(tmp_path / name, servers=(nowhere,), shell=shell, card_text=card_text)
        assert other.boot() == (Ending(exit_code=66) if shell else Ending(how=NOTHING_BOOTED))


def test_a_server_that_says_wait_for_hours_keeps_the_board_from_rebooting(server: FakeBootServer, tmp_path: Path) -> None:
    server.on("POST", "/v1/boot", *[server.give_wait(1200)] * 5, problem(403, "not for you"), server.give_plan)
    board = FakeBoard(tmp_path, servers=(server.url,), shell=False, card_text=b"reboot_after = 1\n")
    assert board.boot().how == "kexec -e", board.console
    assert board.clock.now_s > 6000


LOCAL: dict[str, Json] = {"action": "local", "local": LocalBoot(Find.LOOKING, profile="debian").to_json()}

Break = Callable[[FakeBootServer], object]
FAILURES: list[tuple[str, int, str, Break]] = [
    ("plan", 68, "version", lambda server: server.edits.append(lambda plan: plan.update(version=2))),
    ("plan", 68, "another question", lambda server: server.edits.append(lambda plan: plan.update(nonce="0" * 64))),
    ("plan", 68, "requires teleport", lambda server: server.edits.append(lambda plan: plan.update(requires=["teleport"]))),
    ("local", 76, "there is no disk but the card", lambda server: server.edits.append(lambda plan: plan.update(LOCAL))),
    ("plan", 68, "got arm64 Image", lambda server: server.offer(arm64_image())),
    ("plan", 68, "truncated", lambda server: server.offer(bzimage(8192, claimed=90000))),
    ("memory", 69, "needed to load", lambda server: server.boot["kernel"].update(size=1 << 30)),  # type: ignore[union-attr]
    ("fetch", 71, "HTTP 404", lambda server: server.boot["kernel"].update(urls=["/missing"])),  # type: ignore[union-attr]
    ("verify", 72, "sha256 differs", lambda server: server.boot["kernel"].update(sha256="0" * 64)),  # type: ignore[union-attr]
]


@pytest.mark.parametrize(("stage", "exit_code", "complaint", "break_it"), FAILURES)
def test_what_must_not_be_booted_is_refused_reported_and_tried_again(
    server: FakeBootServer, stage: str, exit_code: int, complaint: str, break_it: Break, tmp_path: Path
) -> None:
    break_it(server)
    board = FakeBoard(tmp_path, servers=(server.url,))
    assert board.boot().exit_code == exit_code, board.console
    assert complaint in board.console
    assert f"FAILED at {stage}: " in board.console
    assert "hint: " in board.console
    assert board.run.loaded is None
    if server.events():  # the plan itself was good enough to bring a token
        assert server.events()[-1] is EventName.FAILED
        assert any("/log?source=agent&offset=0" in request.path for request in server.requests)


def test_a_failure_that_no_server_heard_of_is_in_the_next_report(server: FakeBootServer, tmp_path: Path) -> None:
    server.on("POST", "/v1/boot", problem(403, "not for you"), server.give_plan)
    board = FakeBoard(tmp_path, servers=(server.url,), shell=False)
    assert board.boot().how == "kexec -e", board.console
    (report,) = server.reports
    assert report.last_attempt is not None
    assert report.last_attempt.stage == "server"
    assert "not for you" in report.last_attempt.message
    assert report.last_attempt.boot_id != report.boot_id


def test_after_a_failed_download_the_next_try_gets_there(server: FakeBootServer, tmp_path: Path) -> None:
    kernel = bzimage(9000)
    server.boot["kernel"] = server.artifact(kernel, Reply(403), Reply(200, kernel))
    board = FakeBoard(tmp_path, servers=(server.url,), shell=False)
    assert board.boot().how == "kexec -e", board.console
    assert [report.last_attempt for report in server.reports] == [None, None]
    assert "next try in 5 s" in board.console


@pytest.mark.parametrize(
    ("words", "meaning", "hint"),
    [
        ("kexec_load failed: Invalid argument", "EINVAL", "nr_cpus=1"),
        ("kexec_load failed: Device or resource busy", "EBUSY", "nr_cpus=1"),
        ("kexec_load failed: Operation not permitted", "EPERM", "Secure Boot"),
        ("kexec_load failed: Cannot allocate memory", "ENOMEM", "smaller"),
        ("Could not find a free area of memory of 0x1000 bytes", "EADDRNOTAVAIL", "smaller"),
        ("kexec_load failed: Function not implemented", "ENOSYS", "CONFIG_KEXEC"),
        ("kexec: setup_2nd_dtb failed.\nkexec: load failed.\nCannot load /payload/kernel", "device tree", "kaslr-seed"),
        ("something new", "something new", ""),
    ],
)
def test_what_kexec_does_not_like_is_said_in_plain_words(
    server: FakeBootServer, words: str, meaning: str, hint: str, tmp_path: Path
) -> None:
    board = FakeBoard(tmp_path, servers=(server.url,))
    board.run.load_error = words
    assert board.boot().exit_code == 73
    assert meaning in board.console
    assert hint in board.console
    assert server.events()[-1] is EventName.FAILED


def test_coming_back_from_the_jump_is_a_failure_and_ends_in_a_reboot(server: FakeBootServer, tmp_path: Path) -> None:
    board = FakeBoard(tmp_path, servers=(server.url,), shell=False)
    board.run.jump_works = False
    assert board.boot().how == "reboot -f"
    assert "kexec -e came back" in board.console
    # The network was down for the jump; for the server, which heard of a handover, it came up once more.
    assert board.network.used == [candidate(), candidate()]
    assert server.events()[-2:] == [EventName.HANDOVER, EventName.FAILED]


def test_what_was_let_go_for_a_jump_that_came_back_is_the_networks_again(server: FakeBootServer, tmp_path: Path) -> None:
    board = FakeBoard(tmp_path, servers=(server.url,), shell=False)
    board.run.jump_works = False
    driver = board.root / "sys/bus/virtio/drivers/virtio_net"
    driver.mkdir(parents=True)
    (driver / "virtio1").symlink_to("nowhere")
    board.boot()
    assert (driver / "unbind").read_text() == "virtio1"
    assert (driver / "bind").read_text() == "virtio1"
    assert server.events()[-1] is EventName.FAILED


def test_a_jump_that_came_back_where_the_network_does_not_ends_in_a_reboot_all_the_same(
    server: FakeBootServer, tmp_path: Path
) -> None:
    board = FakeBoard(tmp_path, servers=(server.url,), shell=False)
    board.run.jump_works = False

    def lose_the_network() -> None:
        if EventName.HANDOVER in server.events():
            board.network.now = ()

    board.network.on_poll = lose_the_network
    board.sync = lose_the_network
    assert board.boot().how == "reboot -f"
    assert "lo: no address in 30 s; going on without" in board.console


def test_a_fault_of_the_agent_itself_is_shown_reported_and_followed_by_the_next_try(
    server: FakeBootServer, tmp_path: Path
) -> None:
    board = FakeBoard(tmp_path, servers=(server.url,), shell=False)
    faults: list[Exception] = [KeyError("a bug"), ZeroDivisionError("another")]
    board.network.on_use = lambda: raise_next(faults)
    assert board.boot().how == "kexec -e", board.console
    assert "Traceback (most recent call last)" in board.console
    assert "FAILED at agent: KeyError: 'a bug'" in board.console
    assert "FAILED at agent: ZeroDivisionError: another" in board.console
    (report,) = server.reports
    assert report.last_attempt is not None
    assert report.last_attempt.stage == "agent"


def test_a_fault_after_the_network_was_left_ends_in_a_reboot(server: FakeBootServer, tmp_path: Path) -> None:
    board = FakeBoard(tmp_path, servers=(server.url,), shell=False)
    faults: list[Exception] = [OSError("a bug")]
    board.sync = lambda: raise_next(faults)
    assert board.boot().how == "reboot -f", board.console


def test_a_fault_beside_a_download_is_shown_and_the_boot_goes_on(server: FakeBootServer, tmp_path: Path) -> None:
    board = FakeBoard(tmp_path, servers=(server.url,))
    faults: list[Exception] = [KeyError("a bug")]
    board.network.on_use = lambda: setattr(board.network, "on_poll", lambda: raise_next(faults))
    assert board.boot().how == "kexec -e", board.console
    assert faults == []
    assert "KeyError: 'a bug'" in board.console
    assert server.events()[-1] is EventName.HANDOVER


def test_a_fault_that_comes_with_every_look_at_the_network_is_shown_once(server: FakeBootServer, tmp_path: Path) -> None:
    board = FakeBoard(tmp_path, servers=(server.url,))
    board.network.on_poll = lambda: raise_next([KeyError("a bug")])
    assert board.boot().how == "kexec -e", board.console
    assert board.console.count("KeyError: 'a bug'") == 1


class FaultyEdges(BoardEdges):
    """Whose way to tell of a failure, or to recover from it, is broken."""

    faulty_telling = True

    def tell_failure(self, error: AgentError, journal: Journal) -> bool:
        if self.faulty_telling:
            raise KeyError("a bug in telling")
        return super().tell_failure(error, journal)

    def recover(self, recovery: Recovery) -> bool:
        if not self.faulty_telling:
            raise KeyError("a bug in recovering")
        return super().recover(recovery)


def test_a_fault_in_telling_of_a_failure_costs_only_that(
    server: FakeBootServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.on("POST", "/v1/boot", problem(403, "not for you"), server.give_plan)
    edges = FakeBoard(tmp_path, servers=(server.url,), shell=False).edges()
    with pytest.raises(Ended, match="kexec -e"):
        keep_booting(FaultyEdges(edges.devices, edges.build))
    assert "a bug in telling" in capsys.readouterr().err
    (report,) = server.reports
    assert report.last_attempt is not None
    assert "not for you" in report.last_attempt.message


def test_a_fault_in_recovering_is_shown_and_leaves_the_rest_to_init(
    server: FakeBootServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.on("POST", "/v1/boot", problem(403, "not for you"))
    board = FakeBoard(tmp_path, servers=(server.url,), shell=False)
    edges = board.edges()
    faulty = FaultyEdges(edges.devices, edges.build)
    faulty.faulty_telling = False
    assert keep_booting(faulty) == 67
    assert "FAILED at server: " in board.console
    assert "a bug in recovering" in capsys.readouterr().err


def raise_next(faults: list[Exception]) -> None:
    if faults:
        raise faults.pop(0)
