"""A loader whose payload is another loader: what the second one knows without being told again."""

import json
from dataclasses import replace
from pathlib import Path

from bootpilot_agent.earlier_note import EarlierNote, carry_on, read_earlier_note
from bootpilot_agent.fields import Json
from bootpilot_agent.settings import Settings
from tests.fakes.board import FakeBoard, candidate
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
