"""A plan's own device tree: where it is passed on, and what is refused for being none."""

import subprocess
from pathlib import Path

import pytest

from bootpilot_agent.device_tree import check_device_tree
from bootpilot_agent.fields import Json
from bootpilot_agent.report import features_of
from bootpilot_agent.settings import Settings
from tests.fakes.board import FakeBoard
from tests.fakes.boot_server import FakeBootServer
from tests.fakes.device_trees import compiled, source
from tests.fakes.kernels import arm64_image, device_tree, zimage


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


def orange_pi(folder: Path, server: FakeBootServer) -> FakeBoard:
    """A board that runs with the tree of its firmware."""
    board = FakeBoard(folder, arch="armhf", servers=(server.url,), compatible="xunlong,orangepi-pc")
    (board.root / "sys/firmware/fdt").write_bytes(compiled("orangepi-pc-running"))
    return board


def test_a_plans_tree_becomes_this_boards_own_with_overlays(server: FakeBootServer, tmp_path: Path) -> None:
    server.offer(zimage())
    overlays: list[Json] = [server.artifact(compiled("spi-flash-overlay", "-@"))]
    artifact = server.artifact(compiled("orangepi-pc-plan", "-@"))
    server.boot["dtb"] = {"policy": "file+fixups", "artifact": artifact, "overlays": overlays}
    board = orange_pi(tmp_path / "arm", server)
    assert board.boot().how == "kexec -e", board.console
    assert board.run.loaded is not None
    assert board.run.loaded.dtb is not None
    text = source(board.run.loaded.dtb)
    for words in ('serial-number = "02c000814a58bd80"', "local-mac-address = [02 81 4a 58 bd 80]", "jedec,spi-nor", "arm,psci"):
        assert words in text
    assert "device tree: the plan's, with memory, addresses and identity of the running one" in board.console
    assert "dtb:file+fixups" in server.reports[0].features
    assert "dtb:file" not in server.reports[0].features
    for other in (FakeBoard(tmp_path / "acpi", arch="arm64"), FakeBoard(tmp_path / "pc")):
        other.servers = (server.url,)
        assert "dtb:file+fixups" not in features_of(other.edges()._read_board(Settings()))


@pytest.mark.parametrize(
    ("artifact", "overlay", "complaint"),
    [
        ("raspberrypi-3-plan", "", "is for raspberrypi,3-model-b, brcm,bcm2837, and this board is xunlong,orangepi-pc"),
        ("orangepi-pc-plan", "spi-flash-overlay", "overlay 1 of 1 cannot be applied: FDT_ERR_NOTFOUND"),
    ],
)
def test_a_tree_or_an_overlay_that_does_not_fit_the_board_is_refused_by_name(
    server: FakeBootServer, artifact: str, overlay: str, complaint: str, tmp_path: Path
) -> None:
    server.offer(zimage())
    overlays: list[Json] = [server.artifact(compiled(overlay, "-@"))] if overlay else []
    server.boot["dtb"] = {"policy": "file+fixups", "artifact": server.artifact(compiled(artifact)), "overlays": overlays}
    board = orange_pi(tmp_path, server)
    assert board.boot().exit_code == 68
    assert complaint in board.console
    assert board.run.loaded is None


def test_a_running_tree_that_is_damaged_is_no_reason_to_boot_without_it(server: FakeBootServer, tmp_path: Path) -> None:
    server.offer(zimage())
    server.boot["dtb"] = {"policy": "file+fixups", "artifact": server.artifact(compiled("orangepi-pc-plan"))}
    board = orange_pi(tmp_path, server)
    (board.root / "sys/firmware/fdt").write_bytes(compiled("orangepi-pc-running")[:-200])
    assert board.boot().exit_code == 68
    assert "the running device tree: a damaged device tree" in board.console


def test_what_dtc_writes_is_a_device_tree(tmp_path: Path) -> None:
    tree = tmp_path / "tree.dtb"
    source = b'/dts-v1/;\n/ { compatible = "a,board"; };\n'
    subprocess.run(["dtc", "-q", "-O", "dtb", "-o", str(tree)], input=source, check=True, timeout=60)
    check_device_tree(tree)
