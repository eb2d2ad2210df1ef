"""Identity and hardware, read from the trees of boards in tests/data/boards (each README there says how a tree was made).

`expected.json` holds what the report must say of the board, and the PARTUUID of its card.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bootpilot_agent.addresses import client_id, stable_mac
from bootpilot_agent.card import Card
from bootpilot_agent.evidence import Evidence, EvidenceKind, Grade, best_serial, evidence_from_fields
from bootpilot_agent.fields import Fields
from bootpilot_agent.hardware import read_board, read_inventory
from bootpilot_agent.identity import read_evidence, read_settled_evidence
from bootpilot_agent.inventory import Inventory

BOARDS = Path(__file__).parents[1] / "data/boards"
NAMES = sorted(path.name for path in BOARDS.iterdir())


def expected(board: str) -> Any:
    return json.loads((BOARDS / board / "expected.json").read_text())


def evidence_of(board: str) -> tuple[Evidence, ...]:
    return read_evidence(BOARDS / board / "root")


def inventory_of(board: str) -> Inventory:
    partuuid = expected(board)["card_partuuid"]
    card = Card(partuuid, "", "", "", b"") if partuuid else None
    return read_inventory(BOARDS / board / "root", card)


def test_the_boards_are_there() -> None:
    assert len(NAMES) >= 9


@pytest.mark.parametrize("board", NAMES)
def test_each_board_says_how_its_tree_was_made(board: str) -> None:
    assert len((BOARDS / board / "README").read_text()) > 100


@pytest.mark.parametrize("board", NAMES)
def test_evidence_is_found_and_graded(board: str) -> None:
    assert [piece.to_json() for piece in evidence_of(board)] == expected(board)["evidence"]


@pytest.mark.parametrize("board", NAMES)
def test_the_inventory_is_complete(board: str) -> None:
    assert inventory_of(board).to_json() == expected(board)["inventory"]


@pytest.mark.parametrize("board", NAMES)
def test_a_server_takes_what_the_board_reports(board: str) -> None:
    """Hostile strings included: what is read fits the wire."""
    raw = {"evidence": [piece.to_json() for piece in evidence_of(board)], **inventory_of(board).to_json()}
    fields = Fields.from_bytes(json.dumps(raw).encode())
    assert [evidence_from_fields(piece) for piece in fields.children("evidence", most=128)] == list(evidence_of(board))
    assert Inventory.from_fields(fields) == inventory_of(board)


@pytest.mark.parametrize("board", NAMES)
def test_every_medium_with_the_cards_partuuid_is_the_boot_medium_and_no_other(board: str) -> None:
    assert [disk.name for disk in inventory_of(board).disks if disk.boot_medium] == expected(board)["boot_media"]


BEST = {
    "beaglebone-black": (EvidenceKind.DT_SERIAL, "1234BBBK5678"),
    "cubieboard": (EvidenceKind.CARD_CID, "275048534430384730712d4e8c013100"),
    "imx53-qsb": (EvidenceKind.SOC_SERIAL, "63C1A4D2E0F10518"),
    "orangepi-pc": (EvidenceKind.DT_SERIAL, "02c000814a58bd80"),
    "pandaboard": (EvidenceKind.MAC, "02:81:a3:f0:0b:1c"),
    "pc-placeholders": (EvidenceKind.MAC, "00:e0:4c:68:00:01"),
    "raspberrypi-4": (EvidenceKind.DT_SERIAL, "10000000b1e2c3d4"),
    "visionfive-2": (EvidenceKind.DT_SERIAL, "VF7110B1-2253-D008E000-00001234"),
}


@pytest.mark.parametrize(("board", "best"), BEST.items())
def test_the_best_serial_names_the_board(board: str, best: tuple[EvidenceKind, str]) -> None:
    found = best_serial(evidence_of(board))
    assert found is not None
    assert (found.kind, found.value) == best


def test_a_mac_of_the_device_tree_counts_once_whether_or_not_its_driver_is_there(tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(BOARDS / "pandaboard/root", root, symlinks=True)
    before = [piece for piece in read_evidence(root) if piece.kind is EvidenceKind.MAC]
    (root / "sys/class/net/eth0").unlink()
    after = [piece for piece in read_evidence(root) if piece.kind is EvidenceKind.MAC]
    assert [piece.value for piece in before] == [piece.value for piece in after] == ["02:81:a3:f0:0b:1c"]
    assert after[0].source.endswith("ethernet@1/local-mac-address")


def test_a_random_mac_never_counts_and_a_steady_one_comes_from_what_does() -> None:
    evidence = evidence_of("cubieboard")
    assert [piece.grade for piece in evidence if piece.kind is EvidenceKind.RANDOM_MAC] == [Grade.NONE]
    (nic,) = inventory_of("cubieboard").nics
    mac = stable_mac(evidence, nic.path)
    assert mac == stable_mac(evidence, nic.path)
    assert mac is not None
    assert mac.startswith("02:")
    assert mac != stable_mac(evidence, nic.path + "1")
    assert mac != stable_mac(evidence_of("pandaboard"), nic.path)


def cubieboard(folder: Path, mac: str, cid: str = "") -> Path:
    """The board as it is after power-on or kexec: each time the kernel makes up another MAC. `cid`: of another card."""
    root = folder / mac.replace(":", "")
    shutil.copytree(BOARDS / "cubieboard/root", root, symlinks=True)
    (root / "sys/class/net/eth0/address").write_text(mac + "\n")
    if cid:
        (root / "sys/block/mmcblk0/device/cid").write_text(cid + "\n")
    return root


def test_a_random_mac_is_replaced_by_the_same_one_before_and_after_kexec(tmp_path: Path) -> None:
    roots = [cubieboard(tmp_path, mac) for mac in ("9a:11:22:33:44:55", "ce:66:77:88:99:aa")]
    macs = {stable_mac(read_evidence(root), read_inventory(root).nics[0].path) for root in roots}
    ids = {client_id(read_evidence(root), 0, "00:00:00:00:00:00") for root in roots}
    assert (len(macs), len(ids)) == (1, 1)


def test_a_disk_that_answers_late_changes_no_address_where_the_card_names_the_board() -> None:
    evidence = evidence_of("cubieboard")
    late = Evidence(EvidenceKind.DISK_SERIAL, "WD-WX11A1234567", "", Grade.MEDIUM)
    assert stable_mac([*evidence, late], "/devices/x") == stable_mac(evidence, "/devices/x")
    assert client_id([*evidence, late], 0, "") == client_id(evidence, 0, "")


def test_a_board_with_a_random_mac_and_an_emulators_card_waits_for_its_disk(tmp_path: Path) -> None:
    """QEMU gives every card one CID and every machine one serial number for its first disk; given another, it counts."""
    root = cubieboard(tmp_path, "9a:11:22:33:44:55", cid="aa585951454d552101deadbeef006219")
    polls: list[float] = []

    def spin_up(seconds: float) -> None:
        polls.append(seconds)
        if len(polls) == 3:
            page = (root / "sys/block/sda/device/vpd_pg80").resolve()
            page.write_bytes(b"\0\x80\0\x0a" + b"CUBIE-0001")

    evidence = read_settled_evidence(root, spin_up)
    assert len(polls) == 3
    mac = stable_mac(evidence, "/devices/x")
    assert mac is not None
    assert mac == stable_mac(read_settled_evidence(root, polls.append), "/devices/x")
    assert len(polls) == 3


def test_a_board_that_nothing_names_does_not_wait_for_ever(tmp_path: Path) -> None:
    root = cubieboard(tmp_path, "9a:11:22:33:44:55", cid="aa585951454d552101deadbeef006219")
    times = iter(range(100))
    evidence = read_settled_evidence(root, lambda _: None, wait_s=5, clock=lambda: next(times))
    assert best_serial(evidence) is None


def test_without_any_identity_there_is_no_steady_mac() -> None:
    assert stable_mac([piece for piece in evidence_of("cubieboard") if piece.grade is Grade.NONE], "/devices/x") is None


@pytest.mark.parametrize(
    ("board", "index", "sent"),
    [
        ("orangepi-pc", 0, b"\x0002c000814a58bd80"),
        ("orangepi-pc", 1, b"\x0002c000814a58bd80-1"),
        # Named by a MAC at best: what every other DHCP client sends.
        ("pandaboard", 0, b"\x01\x02\x81\xa3\xf0\x0b\x1c"),
        ("cubieboard", 0, b"\x00275048534430384730712d4e8c013100"),
    ],
)
def test_the_client_id_is_the_best_serial(board: str, index: int, sent: bytes) -> None:
    assert client_id(evidence_of(board), index, "02:81:a3:f0:0b:1c") == sent


@pytest.mark.parametrize("serial", ["x" * 256, "ü", "a\tb"])
def test_a_serial_that_does_not_fit_an_option_is_hashed(serial: str) -> None:
    sent = client_id([Evidence(EvidenceKind.DT_SERIAL, serial, "", Grade.STRONG)], 1, "02:00:00:00:00:01")
    assert sent[:1] == b"\0"
    assert len(sent) == 1 + 64 + 2
    assert sent.isascii()


def test_a_tree_without_a_model_is_called_by_what_it_is_compatible_with(tmp_path: Path) -> None:
    tree = tmp_path / "sys/firmware/devicetree/base"
    tree.mkdir(parents=True)
    (tree / "compatible").write_bytes(b"ti,omap4-panda-a4\0ti,omap4-panda\0ti,omap4\0")
    board = read_board(tmp_path)
    assert (board.model, board.compatible) == ("ti,omap4-panda-a4", ("ti,omap4-panda-a4", "ti,omap4-panda", "ti,omap4"))


def test_reading_a_root_without_proc_and_sys_gives_an_empty_board(tmp_path: Path) -> None:
    assert read_evidence(tmp_path) == ()
    inventory = read_inventory(tmp_path)
    assert (inventory.board.model, inventory.memory_bytes, inventory.nics, inventory.disks) == ("", 0, (), ())


def test_this_machine_can_be_read() -> None:
    inventory = read_inventory()
    assert inventory.memory_bytes > 0
    assert inventory.cpu.online >= 1
    Inventory.from_fields(Fields.from_bytes(json.dumps(inventory.to_json()).encode()))
