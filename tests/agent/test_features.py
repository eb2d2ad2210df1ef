"""What an agent offers on which board: the server never gives a plan that needs more."""

from pathlib import Path

import pytest

from bootpilot_agent.hardware import read_inventory
from bootpilot_agent.report import Board, Build, features_of, takes_bare_tree


@pytest.mark.parametrize(
    ("arch", "compatible", "takes_a_tree"),
    [
        ("arm64", "linux,dummy-virt", True),
        ("armhf", "linux,dummy-virt", True),
        ("arm64", "raspberrypi,4-model-b", False),
        ("armhf", "xunlong,orangepi-pc", False),
        ("amd64", "linux,dummy-virt", False),
    ],
)
def test_a_tree_of_the_plan_is_only_for_boards_whose_firmware_changes_nothing_in_it(
    arch: str, compatible: str, takes_a_tree: bool, tmp_path: Path
) -> None:
    tree = tmp_path / "sys/firmware/devicetree/base"
    tree.mkdir(parents=True)
    (tree / "model").write_bytes(b"a board\0")
    (tree / "compatible").write_bytes(compatible.encode() + b"\0vendor,chip\0")
    inventory = read_inventory(tmp_path)
    bare = takes_bare_tree(inventory.board.compatible)
    features = features_of(Board(Build(arch, "0.1.0", "0" * 16, 0), (), inventory, False, takes_bare_tree=bare))
    assert ("dtb:file" in features) is takes_a_tree
    assert {"boot", "wait", "reboot", "poweroff", "files", "dtb:running"} <= set(features)
