"""Whole boots, in process: the agent's real code against a real HTTP server, up to the jump."""

import json
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bootpilot_agent.device_tree import check_device_tree
from bootpilot_agent.earlier_note import EarlierNote, carry_on, read_earlier_note
from bootpilot_agent.edges import BoardEdges
from bootpilot_agent.errors import AgentError
from bootpilot_agent.events import EventName
from bootpilot_agent.fields import Json
from bootpilot_agent.journal import Journal
from bootpilot_agent.main import keep_booting
from bootpilot_agent.recover import Recovery
from bootpilot_agent.settings import Settings
from tests.fakes.board import NOTHING_BOOTED, PATIENCE_S, Ended, Ending, FakeBoard, candidate
from tests.fakes.boot_server import NODE_ID, TOKEN, FakeBootServer, problem
from tests.fakes.kernels import KERNELS, arm64_image, bzimage, device_tree
from tests.fakes.scripted_server import Reply

ALL_STEPS = [
    EventName.STARTED,
    EventName.NETWORK_UP,
    EventName.IDENTIFIED,
    EventName.PLANNED,
    EventName.FETCHED,
    EventName.LOADED,
    EventName.HANDOVER,
]


@pytest.fixture
def server() -> Iterator[FakeBootServer]:
    with FakeBootServer() as running:
        running.offer(bzimage(), b"an initrd")
        yield running


@pytest.mark.parametrize("arch", KERNELS)
def test_a_board_boots_what_the_plan_says(server: FakeBootServer, arch: str, tmp_path: Path) -> None:
    server.offer(KERNELS[arch](), b"first initrd", b"second")
    board = FakeBoard(tmp_path, arch=arch, servers=(server.url,))
    assert board.boot().how == "kexec -e", board.console
    loaded = board.run.loaded
    assert loaded is not None
    assert loaded.kernel == KERNELS[arch]()
    assert loaded.initrd.startswith(b"first initrd" + b"second\0\0" + b"070701")
    assert loaded.command_line == "console=ttyS0 panic=10"
    assert loaded.dtb is None
    assert board.network.is_down
    assert board.watchdog.calls[-1] == "stop"
    assert server.events() == ALL_STEPS


def test_an_ordinary_boot_tells_the_server_in_at_most_four_requests(server: FakeBootServer, tmp_path: Path) -> None:
    FakeBoard(tmp_path, servers=(server.url,)).boot()
    told = [request for request in server.requests if request.path.startswith("/v1/boots/")]
    assert 1 < len(told) <= 4
    assert {request.headers["authorization"] for request in told} == {f"Bearer {TOKEN}"}


def test_the_payload_finds_its_note_and_its_files(server: FakeBootServer, tmp_path: Path) -> None:
    server.boot["files"] = [server.file("/etc/deep/preseed.cfg", b"d-i pkgsel/include string ssh\n", 0o640)]
    board = FakeBoard(tmp_path, servers=(server.url,), card_text=b"vendor_class = 'grid'\n")
    assert board.boot().how == "kexec -e", board.console
    assert board.run.loaded is not None
    archive = board.run.loaded.initrd[len(b"an initrd") + 3 :]
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["busybox", "cpio", "-idm"], input=archive, cwd=unpacked, check=True, capture_output=True)
    assert (unpacked / "etc/deep/preseed.cfg").read_bytes() == b"d-i pkgsel/include string ssh\n"
    assert stat.S_IMODE((unpacked / "etc/deep/preseed.cfg").stat().st_mode) == 0o640
    note = unpacked / "bootpilot/boot.json"
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    lines = note.read_text().splitlines()
    assert lines[0] == "{"
    assert f'"node_id": "{NODE_ID}",' in lines
    assert f'"token": "{TOKEN}",' in lines
    assert board.run.loaded.note == {
        "version": 1,
        "node_id": NODE_ID,
        "boot_id": server.reports[-1].boot_id,
        "server": server.url,
        "server_source": "command line",
        "ca": None,
        "token": TOKEN,
        "install_id": None,
        "card_partuuid": "0000abcd-01",
        "card_cid": "27504853443847",
        "card_path": "/sys/devices/mmc",
        "loader_builds": ["0123456789abcdef"],
        "simulated": False,
        "client_id": "00534e31",
        "interface": "lo",
        "mac": "02:00:00:00:00:01",
        "method": "dhcp",
        "address": "127.0.0.1/8",
        "gateway": "",
        "dns": [],
        "vlan": None,
        "watchdog": "stop",
        "profile": "ram-page",
    }


def test_a_loader_started_by_a_loader_hands_card_and_builds_on(server: FakeBootServer, tmp_path: Path) -> None:
    board = FakeBoard(tmp_path, servers=(server.url,), card_text=b"")
    (board.root / "bootpilot").mkdir()
    (board.root / "bootpilot/boot.json").write_text('{"card_partuuid": "11112222-01", "loader_builds": ["first"]}')
    (board.root / "proc/cmdline").write_text(f"bootpilot.server={server.url} bootpilot.shell\n")
    assert board.boot().how == "kexec -e", board.console
    assert board.run.loaded is not None
    assert board.run.loaded.note["loader_builds"] == ["first", "0123456789abcdef"]
    assert board.run.loaded.note["card_partuuid"] == "11112222-01"


def start_from_a_loader(board: FakeBoard, note: dict[str, Json]) -> None:
    """The board's loader is itself a payload: it finds the first loader's note, and nothing on its command line."""
    (board.root / "bootpilot").mkdir(exist_ok=True)
    (board.root / "bootpilot/boot.json").write_text(json.dumps(note))
    (board.root / "proc/cmdline").write_text("bootpilot.shell\n")


def test_a_loader_started_by_a_loader_knows_the_server_the_network_and_the_card_without_being_told_again(
    server: FakeBootServer, tmp_path: Path
) -> None:
    first = FakeBoard(tmp_path / "first", servers=(server.url,), card_text=b"address = '127.0.0.1/8'\nvlan = 7\n")
    lease = replace(candidate().lease, method="static", gateway="127.0.0.9", dns=("127.0.0.8",))
    first.network.now = (replace(candidate(), lease=lease),)
    assert first.boot().how == "kexec -e", first.console
    assert first.run.loaded is not None
    second = FakeBoard(tmp_path / "second")
    start_from_a_loader(second, first.run.loaded.note | {"simulated": True})
    assert second.boot().how == "kexec -e", second.console
    settings = second.network.settings
    assert settings is not None
    assert (settings.servers, settings.server_source) == ((server.url,), "command line")
    assert (settings.address, settings.gateway, settings.dns) == ("127.0.0.1/8", "127.0.0.9", ("127.0.0.8",))
    assert settings.vlan == 7
    assert "settings: servers, server_source, address, gateway, dns, vlan, simulated as the loader" in second.console
    assert second.run.loaded is not None
    for key in ("card_partuuid", "card_cid", "card_path", "vlan"):
        assert second.run.loaded.note[key] == first.run.loaded.note[key]
    assert [report.simulated for report in server.reports] == [False, True]
    assert server.reports[0].boot_id != server.reports[1].boot_id
    assert server.asked("/v1/boot")[-1].headers.get("authorization") is None


def test_a_server_that_only_dhcp_named_is_not_trusted_more_by_the_next_loader(server: FakeBootServer, tmp_path: Path) -> None:
    server.edits.append(lambda plan: plan.update(writes_disk=True))
    board = FakeBoard(tmp_path, dhcp_servers=(server.url,))
    start_from_a_loader(board, {"server": server.url, "server_source": "dhcp", "loader_builds": []})
    assert board.boot().exit_code == 68
    assert "only DHCP named the server" in board.console


def test_what_this_loader_is_told_itself_wins_over_the_note(tmp_path: Path) -> None:
    told = Settings(servers=("http://b",), server_source="card", address="10.0.0.2/24", dns=("10.0.0.3",), vlan=2)
    note = EarlierNote(
        server="http://a", server_source="card", method="static", address="10.9.9.9/8", gateway="10.1.1.1", vlan=9
    )
    assert carry_on(told, note) == (told, ())
    assert carry_on(told, read_earlier_note(tmp_path)) == (told, ())


def test_a_plans_device_tree_is_passed_only_where_the_board_takes_one(server: FakeBootServer, tmp_path: Path) -> None:
    tree = server.artifact(device_tree())
    server.offer(arm64_image())
    server.boot["dtb"] = {"policy": "file", "artifact": tree}
    board = FakeBoard(tmp_path / "arm", arch="arm64", servers=(server.url,))
    assert board.boot().how == "kexec -e", board.console
    assert board.run.loaded is not None
    assert board.run.loaded.dtb == device_tree()
    pc = FakeBoard(tmp_path / "pc", arch="amd64", servers=(server.url,))
    assert pc.boot().exit_code == 68
    assert "the plan requires dtb:file" in pc.console


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"\x1f\x8b\x08 packed" + bytes(60), "got gzip file"),
        (b"/dts-v1/;\n/ { };\n" + bytes(60), "got device tree source"),
        (arm64_image(), "got arm64 Image"),
        (b"\xd0\x0d\xfe\xed", "truncated within its header, 4 bytes"),
        (device_tree()[:-20], "truncated: its header says"),
        (device_tree()[:24] + b"\0\0\0\x63" + device_tree()[28:], "its header is damaged"),
    ],
)
def test_a_device_tree_that_is_none_is_refused_by_name(
    server: FakeBootServer, content: bytes, complaint: str, tmp_path: Path
) -> None:
    server.offer(arm64_image())
    server.boot["dtb"] = {"policy": "file", "artifact": server.artifact(content)}
    board = FakeBoard(tmp_path, arch="arm64", servers=(server.url,))
    assert board.boot().exit_code == 68
    assert "FAILED at plan: device tree: " in board.console
    assert complaint in board.console
    assert board.run.loaded is None


def test_what_dtc_writes_is_a_device_tree(tmp_path: Path) -> None:
    tree = tmp_path / "tree.dtb"
    source = b'/dts-v1/;\n/ { compatible = "a,board"; };\n'
    subprocess.run(["dtc", "-q", "-O", "dtb", "-o", str(tree)], input=source, check=True, timeout=60)
    check_device_tree(tree)


def test_a_board_that_must_wait_asks_again_under_the_same_boot_with_its_token(server: FakeBootServer, tmp_path: Path) -> None:
    server.on("POST", "/v1/boot", server.give_wait(30), server.give_wait(30), server.give_plan)
    board = FakeBoard(tmp_path, servers=(server.url,))
    assert board.boot().how == "kexec -e", board.console
    assert len({report.boot_id for report in server.reports}) == 1
    assert len({report.nonce for report in server.reports}) == 3
    tokens = [request.headers.get("authorization") for request in server.asked("/v1/boot")]
    assert tokens == [None, f"Bearer {TOKEN}", f"Bearer {TOKEN}"]
    assert board.console.count("a person must approve this board") == 1


@pytest.mark.parametrize(("action", "command"), [("reboot", "reboot -f"), ("poweroff", "poweroff -f")])
def test_an_order_is_carried_out(server: FakeBootServer, action: str, command: str, tmp_path: Path) -> None:
    server.on("POST", "/v1/boot", server.give_order(action))
    board = FakeBoard(tmp_path, servers=(server.url,))
    assert board.boot().how == command
    assert server.events()[-1] is EventName.PLANNED


def test_the_watchdog_is_kept_only_if_the_plan_says_so(server: FakeBootServer, tmp_path: Path) -> None:
    server.edits.append(lambda plan: plan.update(watchdog="keep"))
    board = FakeBoard(tmp_path, servers=(server.url,))
    assert board.boot().how == "kexec -e"
    assert board.watchdog.calls[-1] == "keep"


def test_a_question_refused_as_used_is_asked_with_a_new_nonce(server: FakeBootServer, tmp_path: Path) -> None:
    server.on("POST", "/v1/boot", problem(409, "this nonce was used"), server.give_plan)
    board = FakeBoard(tmp_path, servers=(server.url,))
    assert board.boot().how == "kexec -e", board.console


def test_the_time_for_fetching_counts_from_the_plan_and_not_from_the_first_byte(server: FakeBootServer, tmp_path: Path) -> None:
    server.edits.append(lambda plan: plan.update(fetch_deadline_s=1))
    board = FakeBoard(tmp_path, servers=(server.url,))
    (board.root / "sys/kernel/kexec_loaded").write_text("1\n")
    board.run.on_unload = lambda: time.sleep(1.2)  # between plan and download
    assert board.boot().exit_code == 71, board.console
    assert "the plan's deadline would pass" in board.console
    assert [request.path for request in server.requests if request.path.startswith("/artifacts/")] == []


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


def test_a_boot_whose_token_is_refused_starts_another(server: FakeBootServer, tmp_path: Path) -> None:
    refused = problem(409, "this boot needs its token")
    server.on("POST", "/v1/boot", server.give_wait(1), refused, refused, server.give_plan)
    board = FakeBoard(tmp_path, servers=(server.url,))
    assert board.boot().how == "kexec -e", board.console
    first, last = server.reports
    assert first.boot_id != last.boot_id
    assert server.asked("/v1/boot")[-1].headers.get("authorization") is None


def test_a_server_that_only_dhcp_named_may_not_write_a_disk(server: FakeBootServer, tmp_path: Path) -> None:
    server.edits.append(lambda plan: plan.update(writes_disk=True))
    refusing = FakeBoard(tmp_path / "a", dhcp_servers=(server.url,))
    assert refusing.boot().exit_code == 68
    assert "only DHCP named the server" in refusing.console
    trusting = FakeBoard(tmp_path / "b", dhcp_servers=(server.url,), card_text=b"trust_dhcp = true\n")
    assert trusting.boot().how == "kexec -e", trusting.console
    named = FakeBoard(tmp_path / "c", servers=(server.url,))
    assert named.boot().how == "kexec -e", named.console


def test_two_interfaces_of_which_the_first_is_dead(server: FakeBootServer, tmp_path: Path) -> None:
    board = FakeBoard(tmp_path, servers=(server.url,))
    board.network.now = (candidate("nonexistent0", "192.0.2.9/24"), candidate())
    assert board.boot().how == "kexec -e", board.console
    assert [used.lease.interface for used in board.network.used] == ["lo"]


def test_a_lease_that_comes_late_is_used(server: FakeBootServer, tmp_path: Path) -> None:
    board = FakeBoard(tmp_path, servers=(server.url,))
    board.network.now, board.network.later = (), {20: (candidate(),)}
    assert board.boot().how == "kexec -e", board.console


def test_a_server_on_ipv6_works(tmp_path: Path) -> None:
    with FakeBootServer("::1") as server:
        server.offer(bzimage())
        board = FakeBoard(tmp_path, servers=(server.url,))
        assert board.boot().how == "kexec -e", board.console


def test_events_that_the_server_does_not_take_hold_nothing_up(server: FakeBootServer, tmp_path: Path) -> None:
    server.on("POST", "/v1/boots/*", Reply(lost=True))
    board = FakeBoard(tmp_path, servers=(server.url,))
    assert board.boot().how == "kexec -e", board.console


def test_plain_http_is_named_for_what_it_is(server: FakeBootServer, tmp_path: Path) -> None:
    board = FakeBoard(tmp_path, servers=(server.url,))
    board.boot()
    assert "an unauthenticated plan unless HTTPS with a pinned CA is configured" in board.console


Break = Callable[[FakeBootServer], object]
FAILURES: list[tuple[str, int, str, Break]] = [
    ("plan", 68, "version", lambda server: server.edits.append(lambda plan: plan.update(version=2))),
    ("plan", 68, "another question", lambda server: server.edits.append(lambda plan: plan.update(nonce="0" * 64))),
    ("plan", 68, "requires teleport", lambda server: server.edits.append(lambda plan: plan.update(requires=["teleport"]))),
    ("plan", 68, "requires local", lambda server: server.edits.append(lambda plan: plan.update(action="local"))),
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
    assert server.events() == ALL_STEPS


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


def test_a_network_adapter_that_appears_after_dhcp_began_is_in_the_report(server: FakeBootServer, tmp_path: Path) -> None:
    board = FakeBoard(tmp_path, servers=(server.url,))

    def plug_in() -> None:
        nic = board.root / "sys/devices/usb1/net/eth0"
        nic.mkdir(parents=True)
        (board.root / "sys/class/net").mkdir(parents=True)
        (board.root / "sys/class/net/eth0").symlink_to("../../devices/usb1/net/eth0")
        for name, text in {"address": "02:11:22:33:44:55", "addr_assign_type": "0", "type": "1"}.items():
            (nic / name).write_text(text + "\n")
        (nic / "device").symlink_to("../..")

    board.network.on_use = plug_in
    assert board.boot().how == "kexec -e", board.console
    (report,) = server.reports
    assert [nic.mac for nic in report.inventory.nics] == ["02:11:22:33:44:55"]
    assert [(piece.kind, piece.value) for piece in report.evidence] == [("mac", "02:11:22:33:44:55")]


def test_where_no_server_is_found_an_adapter_without_driver_is_named(tmp_path: Path) -> None:
    board = FakeBoard(tmp_path, servers=("http://127.0.0.1:1",))
    assert board.boot().exit_code == 66
    assert "no driver for /sys/devices/usb1/1-1 (usb:v0BDAp8152)" in board.console
    assert "platform:x" not in board.console
