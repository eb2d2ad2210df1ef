"""A MAC that the agent set is in the payload's device tree: a payload that knows nothing of boot.json keeps it too."""

import shutil
from pathlib import Path

import pytest

from bootpilot_agent import ethernet
from bootpilot_agent.addresses import GivenMac
from bootpilot_agent.evidence import EvidenceKind
from bootpilot_agent.fields import Json
from bootpilot_agent.flat_tree import read_tree
from bootpilot_agent.identity import read_evidence
from bootpilot_agent.tree_nodes import find
from tests.fakes.board import FakeBoard
from tests.fakes.boot_server import FakeBootServer
from tests.fakes.device_trees import compiled, source
from tests.fakes.kernels import zimage

BOARDS_DATA = Path(__file__).parents[1] / "data/boards"
NODE = "/soc/ethernet@1c30000"
GIVEN = GivenMac("eth0", "02:aa:bb:cc:dd:ee", NODE, derived=True)
BYTES = bytes.fromhex("02aabbccddee")


def orange_pi(folder: Path, server: FakeBootServer, *macs: GivenMac, compatible: str = "xunlong,orangepi-pc") -> FakeBoard:
    board = FakeBoard(folder, arch="armhf", servers=(server.url,), compatible=compatible)
    (board.root / "sys/firmware/fdt").write_bytes(compiled("orangepi-pc-running"))
    board.network.macs = macs
    return board


def booted_tree(board: FakeBoard) -> bytes | None:
    assert board.boot().how == "kexec -e", board.console
    assert board.run.loaded is not None
    return board.run.loaded.dtb


def mac_in(tree: bytes | None, path: str = NODE) -> bytes:
    assert tree is not None
    node = find(read_tree(tree).root, path)
    assert node is not None
    assert "mac-address" not in node.properties
    return node.properties["local-mac-address"]


# A plan's tree is taken as it is where the firmware adds nothing to it.
BOARDS = {"running": "xunlong,orangepi-pc", "file": "linux,dummy-virt", "file+fixups": "xunlong,orangepi-pc"}


@pytest.mark.parametrize("policy", sorted(BOARDS))
def test_a_mac_that_the_agent_set_is_in_the_payloads_tree_under_every_policy(
    server: FakeBootServer, policy: str, tmp_path: Path
) -> None:
    server.offer(zimage())
    artifact: dict[str, Json] = {"artifact": server.artifact(compiled("orangepi-pc-plan"))}
    server.boot["dtb"] = {"policy": policy, **(artifact if policy != "running" else {})}
    board = orange_pi(tmp_path, server, GIVEN, compatible=BOARDS[policy])
    assert mac_in(booted_tree(board)) == BYTES
    assert f"device tree: eth0 keeps its MAC 02:aa:bb:cc:dd:ee (local-mac-address of {NODE})" in board.console


def test_the_running_tree_is_passed_on_otherwise_as_it_is(server: FakeBootServer, tmp_path: Path) -> None:
    server.offer(zimage())
    tree = booted_tree(orange_pi(tmp_path, server, GIVEN))
    assert tree is not None
    before, after = (source(blob).splitlines() for blob in (compiled("orangepi-pc-running"), tree))
    changed = [line.strip() for line in after if line not in before]
    assert changed == ["bootpilot,derived-mac = [02 aa bb cc dd ee];", "local-mac-address = [02 aa bb cc dd ee];"]
    assert len(after) == len(before) + 1


def test_without_such_a_mac_kexec_reads_the_running_tree_itself(server: FakeBootServer, tmp_path: Path) -> None:
    server.offer(zimage())
    assert booted_tree(orange_pi(tmp_path, server)) is None


def test_an_interface_that_no_tree_knows_is_told_of_in_boot_json_alone(server: FakeBootServer, tmp_path: Path) -> None:
    server.offer(zimage())
    board = orange_pi(tmp_path, server, GivenMac("usb0", "02:aa:bb:cc:dd:ee", "", derived=True))
    assert booted_tree(board) is None
    assert "usb0: the payload is told of the MAC 02:aa:bb:cc:dd:ee in boot.json alone" in board.console


@pytest.mark.parametrize(
    ("moved", "words"),
    [
        # The alias names the node's new place, or one that is not there.
        (compiled("orangepi-pc-plan").replace(b"ethernet@1c30000", b"ethernet@0c30000"), "eth0 keeps its MAC"),
        (compiled("orangepi-pc-plan").replace(b"\1ethernet@1c30000", b"\1ethernet@0c30000"), "has no place in the plan's tree"),
    ],
)
def test_a_node_that_the_plans_tree_has_elsewhere_is_found_by_its_alias(
    server: FakeBootServer, moved: bytes, words: str, tmp_path: Path
) -> None:
    server.offer(zimage())
    server.boot["dtb"] = {"policy": "file+fixups", "artifact": server.artifact(moved)}
    board = orange_pi(tmp_path, server, GIVEN)
    tree = booted_tree(board)
    assert words in board.console
    assert (b"bootpilot,derived-mac" in (tree or b"")) == (words == "eth0 keeps its MAC")


def test_a_running_tree_that_is_damaged_keeps_no_board_from_its_payload(server: FakeBootServer, tmp_path: Path) -> None:
    server.offer(zimage())
    board = orange_pi(tmp_path, server, GIVEN)
    (board.root / "sys/firmware/fdt").write_bytes(compiled("orangepi-pc-running")[:-200])
    assert booted_tree(board) is None
    assert "no MAC can be written into it, boot.json alone has it: a damaged device tree" in board.console


def test_the_loader_that_follows_takes_a_derived_mac_for_no_evidence_and_hands_it_on(tmp_path: Path) -> None:
    """To its kernel the MAC is permanent: as evidence it would change the client-id, and name a board that nothing names."""
    root = tmp_path / "root"
    shutil.copytree(BOARDS_DATA / "cubieboard/root", root, symlinks=True)
    before = [piece for piece in read_evidence(root) if piece.kind is not EvidenceKind.RANDOM_MAC]
    node = root / "sys/firmware/devicetree/base/soc/ethernet@1c0b000"
    node.mkdir(parents=True, exist_ok=True)
    for name in ("local-mac-address", "bootpilot,derived-mac"):
        (node / name).write_bytes(BYTES)
    (root / "sys/class/net/eth0/address").write_text("02:aa:bb:cc:dd:ee\n")
    (root / "sys/class/net/eth0/addr_assign_type").write_text("0\n")
    after = read_evidence(root)
    assert [piece for piece in after if piece.kind is not EvidenceKind.RANDOM_MAC] == before
    assert [piece.value for piece in after if piece.kind is EvidenceKind.RANDOM_MAC] == ["02:aa:bb:cc:dd:ee"]
    assert ethernet.derived_mac("eth0", root) == "02:aa:bb:cc:dd:ee"
    assert ethernet.tree_node("eth0", root) == "/soc/ethernet@1c0b000"
