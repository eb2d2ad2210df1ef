"""scripts/build-sdcard as a person uses it; what takes a loader is tried elsewhere."""

from pathlib import Path

import pytest

from scripts.sdcard.__main__ import main
from scripts.sdcard.arguments import card_settings, server_warnings
from scripts.sdcard.board import Board
from scripts.sdcard.boards import BOARDS, ROWS
from scripts.sdcard.build import CardOptions, build_card
from scripts.sdcard.errors import CardError
from scripts.sdcard.extra_initrds import identity_initrd
from tests.sdcard.conftest import MakeLoader

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def test_the_list_has_every_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in BOARDS)


@pytest.mark.parametrize("board", ROWS, ids=lambda board: board.name)
def test_explain_prints_a_row_with_its_reasons(board: Board, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--explain", board.name]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert board.title in told
    assert all(" ".join(argument.reason.split()) in told for argument in board.arguments)
    assert all(piece.name in told for piece in board.firmware)
    assert f"scripts/sdcard/pages/{board.page}" in told


@pytest.mark.parametrize("arguments", [["pandabord"], ["--explain", "pandabord"]])
def test_an_unknown_board_ends_with_the_nearest_names(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    assert "did you mean pandaboard" in capsys.readouterr().err


def test_without_a_board_there_is_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "name a board" in capsys.readouterr().err


def test_a_wrong_disk_is_refused_before_anything_is_built(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pandaboard", "--device", "/dev/null"]) == 1
    assert "/dev/null is no disk" in capsys.readouterr().err


def test_a_good_card_and_a_spoilt_one_differ_in_the_exit_code(
    loader_for: MakeLoader, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "card.img"
    build_card(BOARDS["virt-arm64"], loader_for(BOARDS["virt-arm64"]), CardOptions(), image)
    assert main(["--verify", str(image)]) == 0
    assert "boot server: named by DHCP" in capsys.readouterr().out
    raw = bytearray(image.read_bytes())
    raw[raw.index(b"kernel kernel")] ^= 1
    image.write_bytes(raw)
    assert main(["--verify", str(image)]) == 1
    assert "wrong: vmlinuz is not what was written" in capsys.readouterr().out


def test_a_files_settings_come_first_and_options_on_top(tmp_path: Path) -> None:
    file, ca = tmp_path / "site.txt", tmp_path / "ca.pem"
    file.write_text("server = 'http://a.example'\nvlan = 7\ntrust_dhcp = true\n")
    ca.write_text(PEM)
    settings = card_settings(file, ["https://b.example"], ["vlan=8", "dns=192.0.2.1"], ca)
    assert settings == {"server": ["https://b.example"], "vlan": 8, "trust_dhcp": True, "dns": "192.0.2.1", "ca": PEM}


@pytest.mark.parametrize(
    ("content", "complaint"), [("server = \n", "site.txt: .*line 1"), ("server = 1979-05-27\n", "server is neither text")]
)
def test_a_settings_file_that_cannot_be_read_is_refused(content: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "site.txt"
    file.write_text(content)
    with pytest.raises(CardError, match=complaint):
        card_settings(file, [], [], None)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("nothing", "holds no certificate"), (PEM + "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", "private key")],
)
def test_a_wrong_ca_file_is_refused(content: str, complaint: str, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text(content)
    with pytest.raises(CardError, match=complaint):
        card_settings(None, [], [], ca)


def test_an_assignment_without_a_value_is_refused() -> None:
    with pytest.raises(CardError, match="expected KEY=VALUE"):
        card_settings(None, [], ["vlan"], None)


@pytest.mark.parametrize("url", ["http://192.0.2.7:8080", "https://[2001:db8::1]/"])
def test_a_server_by_a_bare_address_is_warned_about(url: str) -> None:
    [warning] = server_warnings({"server": [url]})
    assert warning.startswith(f"{url} is a bare address")


def test_a_server_by_name_is_not_warned_about() -> None:
    assert server_warnings({"server": ["https://boot.example"], "ca": PEM}) == []
    assert server_warnings({}) == []


def test_a_ca_without_an_https_server_is_warned_about() -> None:
    assert "it counts for https only" in server_warnings({"server": "http://boot.example", "ca": PEM})[0]


def test_a_captured_board_becomes_an_archive_and_anything_else_is_refused(tmp_path: Path) -> None:
    tree = Path(__file__).parents[1] / "data/boards/pandaboard/root"
    assert identity_initrd(tree, tmp_path / "identity.cpio").read_bytes().startswith(b"070701")
    with pytest.raises(CardError, match="is no captured board"):
        identity_initrd(tmp_path, tmp_path / "identity.cpio")


def test_a_setting_that_no_agent_would_take_is_refused_before_anything_is_built() -> None:
    with pytest.raises(CardError, match="1 to 4094"):
        card_settings(None, [], ["vlan=9999"], None)


@pytest.mark.parametrize("option", ["--settings", "--ca", "--extra-initrd"])
def test_a_file_that_is_not_there_is_named_before_anything_is_built(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["virt-arm64", option, "no-such-file"]) == 1
    assert capsys.readouterr().err == "build-sdcard: no-such-file: No such file or directory\n"
