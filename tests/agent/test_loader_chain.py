"""A loader whose payload is another loader: what the second one knows without being told again."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bootpilot_agent.earlier_note import EarlierNote, carry_on, read_earlier_note
from bootpilot_agent.fields import Json
from bootpilot_agent.settings import Settings
from tests.fakes.board import NOTHING_BOOTED, FakeBoard, RecordingRun, candidate
from tests.fakes.boot_server import FakeBootServer


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
    note = first.run.loaded.note | {"simulated": True}
    del note["loader_settings"]  # as the agents of the first cards write it
    start_from_a_loader(second, note)
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


def test_the_words_on_the_cards_command_line_count_for_every_loader_after_it_and_its_own_count_more(
    server: FakeBootServer, tmp_path: Path
) -> None:
    first = FakeBoard(tmp_path / "first", card_text=b"")
    words = f'bootpilot.server={server.url} "bootpilot.vendor_class=rack 7" bootpilot.watchdog=33 bootpilot.shell'
    (first.root / "proc/cmdline").write_text(f"console=ttyS0 nr_cpus=1 {words}\n")
    assert first.boot().how == "kexec -e", first.console
    assert first.run.loaded is not None
    second = FakeBoard(tmp_path / "second")
    start_from_a_loader(second, first.run.loaded.note)
    (second.root / "proc/cmdline").write_text("console=ttyS0 bootpilot.watchdog=44\n")
    assert second.boot().how == "kexec -e", second.console
    settings = second.network.settings
    assert settings is not None
    assert (settings.servers, settings.server_source) == ((server.url,), "command line")
    assert (settings.vendor_class, settings.watchdog_s, settings.shell) == ("rack 7", 44, True)
    assert second.run.loaded is not None
    assert second.run.loaded.note["loader_settings"] == [
        f"bootpilot.server={server.url}", '"bootpilot.vendor_class=rack 7"', "bootpilot.watchdog=33", "bootpilot.shell",
        "bootpilot.watchdog=44",
    ]  # fmt: skip


def unpack(initrd: bytes, root: Path) -> None:
    """Unpack the last archive as the next kernel does."""
    archive = initrd[initrd.rindex(b"070701", 0, initrd.rindex(b"bootpilot\0")) :]
    subprocess.run(["busybox", "cpio", "-idm"], input=archive, cwd=root, check=True, capture_output=True)


def test_a_card_that_is_pulled_meanwhile_is_not_missed_by_the_next_loader(server: FakeBootServer, tmp_path: Path) -> None:
    text = f'server = "{server.url}"\nreboot_after = 9\ninterface = "end0"\n'.encode()
    first = FakeBoard(tmp_path / "first", card_text=text)
    server.boot["loader"] = "feedfacefeedface"
    assert first.boot().how == "kexec -e", first.console
    assert first.run.loaded is not None
    del server.boot["loader"]
    second = FakeBoard(tmp_path / "second")
    unpack(first.run.loaded.initrd, second.root)
    (second.root / "proc/cmdline").write_text("bootpilot.shell\n")
    assert second.boot().how == "kexec -e", second.console
    assert second.network.settings is not None
    assert (second.network.settings.servers, second.network.settings.server_source) == ((server.url,), "card")
    assert (second.network.settings.reboot_after_h, second.network.settings.interface) == (9, "end0")
    assert "its settings are those that the loader before this one read" in second.console
    assert second.run.loaded is not None
    assert b"bootpilot/card" not in second.run.loaded.initrd  # it is no payload's business


@pytest.mark.parametrize(("kept", "opened"), [("keep", (60, True)), ("stop", (0, False))])
def test_a_watchdog_that_the_loader_before_left_running_is_fed_whatever_the_settings_say(
    server: FakeBootServer, tmp_path: Path, kept: str, opened: tuple[int, bool]
) -> None:
    board = FakeBoard(tmp_path)
    start_from_a_loader(board, {"server": server.url, "server_source": "card", "loader_builds": ["card"], "watchdog": kept})
    (board.root / "proc/cmdline").write_text("bootpilot.shell bootpilot.watchdog=0\n")
    assert board.boot().how == "kexec -e", board.console
    assert board.watchdog.opened == [opened]


def test_the_report_says_which_loaders_ran_before(server: FakeBootServer, tmp_path: Path) -> None:
    board = FakeBoard(tmp_path, servers=(server.url,))
    start_from_a_loader(board, {"server": server.url, "server_source": "card", "loader_builds": ["card"]})
    assert board.boot().how == "kexec -e", board.console
    assert server.reports[0].loader_builds == ("card", "0123456789abcdef")


@pytest.mark.parametrize(
    ("build", "before", "told"),
    [
        ("0123456789abcdef", [], "starts the loader 0123456789abcdef, which ran already since power-on (0123456789abcdef)"),
        ("card", ["card"], "starts the loader card, which ran already since power-on (card -> 0123456789abcdef)"),
        ("third", ["card", "second"], "after 3 others since power-on (card -> second -> 0123456789abcdef)"),
    ],
)
def test_a_loader_that_ran_already_or_is_one_too_many_is_refused_by_name(
    server: FakeBootServer, tmp_path: Path, build: str, before: list[Json], told: str
) -> None:
    server.boot["loader"] = build
    board = FakeBoard(tmp_path)
    start_from_a_loader(board, {"server": server.url, "server_source": "card", "loader_builds": before})
    assert board.boot().exit_code == 68
    assert told in board.console
    assert board.run.loaded is None


@pytest.mark.parametrize("before", [["card"], []], ids=["started by another", "the card's own"])
def test_a_loader_whose_kexec_always_fails_gives_way_to_the_one_that_started_it(
    server: FakeBootServer, tmp_path: Path, before: list[Json]
) -> None:
    board = FakeBoard(tmp_path, run=RecordingRun(load_error="kexec_load failed: Invalid argument"))
    start_from_a_loader(board, {"server": server.url, "server_source": "card", "loader_builds": before})
    (board.root / "proc/cmdline").write_text("console=ttyS0\n")
    ended = board.boot()
    tries = sum(argv[:2] == ["kexec", "-l"] for argv in board.run.commands)
    if before:
        assert (ended.how, tries) == ("reboot -f", 3), board.console
        assert "this loader was started by another one, which may manage what this one does not" in board.console
    else:
        assert (ended.how, tries > 10) == (NOTHING_BOOTED, True)


def test_what_is_the_servers_fault_makes_no_loader_give_way(server: FakeBootServer, tmp_path: Path) -> None:
    server.boot["kernel"].update(sha256="0" * 64)  # type: ignore[union-attr]
    board = FakeBoard(tmp_path)
    start_from_a_loader(board, {"server": server.url, "server_source": "card", "loader_builds": ["card"]})
    (board.root / "proc/cmdline").write_text("console=ttyS0\n")
    assert board.boot().how == NOTHING_BOOTED


def test_a_server_that_only_dhcp_named_is_not_trusted_more_by_the_next_loader(server: FakeBootServer, tmp_path: Path) -> None:
    server.edits.append(lambda plan: plan.update(writes_disk=True))
    board = FakeBoard(tmp_path, dhcp_servers=(server.url,))
    start_from_a_loader(board, {"server": server.url, "server_source": "dhcp", "loader_builds": []})
    assert board.boot().exit_code == 68
    assert "only DHCP named the server" in board.console


def test_a_server_of_which_a_first_card_does_not_say_who_named_it_is_asked_and_trusted_least(
    server: FakeBootServer, tmp_path: Path
) -> None:
    server.edits.append(lambda plan: plan.update(writes_disk=True))
    board = FakeBoard(tmp_path)
    start_from_a_loader(board, {"server": server.url, "loader_builds": ["card"]})
    assert board.boot().exit_code == 68
    assert "only DHCP named the server" in board.console


def test_what_this_loader_is_told_itself_wins_over_the_note(tmp_path: Path) -> None:
    told = Settings(servers=("http://b",), server_source="card", address="10.0.0.2/24", dns=("10.0.0.3",), vlan=2)
    note = EarlierNote(
        server="http://a", server_source="card", method="static", address="10.9.9.9/8", gateway="10.1.1.1", vlan=9
    )
    assert carry_on(told, note) == (told, ())
    assert carry_on(told, read_earlier_note(tmp_path)) == (told, ())
