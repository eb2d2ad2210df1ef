"""A plan's own device tree: where it is passed on, and what is refused for being none."""

import subprocess
from pathlib import Path

import pytest

from bootpilot_agent.device_tree import check_device_tree
from tests.fakes.board import FakeBoard
from tests.fakes.boot_server import FakeBootServer
from tests.fakes.kernels import arm64_image, device_tree


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
