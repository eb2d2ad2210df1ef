"""Whole boots, in process: the agent's real code against a real HTTP server, up to the jump."""

import stat
import subprocess
import time
from pathlib import Path

import pytest

from bootpilot_agent.events import EventName
from tests.fakes.board import FakeBoard, candidate
from tests.fakes.boot_server import NODE_ID, TOKEN, FakeBootServer, problem
from tests.fakes.kernels import KERNELS, bzimage
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
        "loader_settings": [f"bootpilot.server={server.url}", "bootpilot.shell", "bootpilot.card=PARTUUID=0000abcd-01"],
    }


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
