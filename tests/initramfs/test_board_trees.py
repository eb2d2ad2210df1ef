"""The trees of Debian's kernels become a board's own: what firmware adds comes back, whatever board it is."""

import io
from pathlib import Path

import pytest

from bootpilot_agent.flat_tree import FlatTree, Node, read_tree, write_tree
from bootpilot_agent.tree_fixups import fix_up
from bootpilot_agent.tree_memory import Running
from bootpilot_agent.tree_nodes import alias_paths, cells_of, find
from initramfs.architectures import ARCHITECTURES
from initramfs.kernel import fetch_kernel
from initramfs.packages import Packages
from initramfs.progress import Progress
from tests.fakes.device_trees import source

SEED = bytes(range(64))
TREES = [
    ("armhf", "sun8i-h3-orangepi-pc.dtb"),
    ("armhf", "omap4-panda.dtb"),
    ("armhf", "imx53-qsb.dtb"),
    ("armhf", "am335x-boneblack.dtb"),
    ("arm64", "broadcom/bcm2837-rpi-3-b.dtb"),
    ("arm64", "broadcom/bcm2711-rpi-4-b.dtb"),
    ("riscv64", "starfive/jh7110-starfive-visionfive-2-v1.3b.dtb"),
]


@pytest.fixture(scope="module")
def dtbs() -> dict[str, Path]:
    found = {}
    for arch in dict(TREES):
        architecture = ARCHITECTURES[arch]
        kernel = fetch_kernel(Packages(architecture, Progress(io.StringIO())), architecture, architecture.kernel_package)
        assert kernel.dtbs
        found[arch] = kernel.dtbs
    return found


def leave_to_kernel(tree: FlatTree) -> None:
    """What U-Boot does to a kernel's tree before it starts the loader; all that the next kernel should find, too."""
    root = tree.root
    cells = cells_of(root)
    root.children = [node for node in root.children if not node.name.startswith("memory")]
    reg = (0x80000000).to_bytes(4 * cells["a"], "big") + (0x40000000).to_bytes(4 * cells["s"], "big")
    root.children.insert(0, Node("memory", {"device_type": b"memory\0", "reg": reg}))
    root.properties["serial-number"] = b"02c000814a58bd80\0"
    root.children = [node for node in root.children if node.name != "psci"]
    root.children.append(Node("psci", {"compatible": b"arm,psci-1.0\0", "method": b"smc\0"}))
    for cpu in root.child("cpus").children:
        if cpu.name.startswith("cpu@"):
            cpu.properties["enable-method"] = b"psci\0"
    for number, path in enumerate(alias_paths(root, r"ethernet\d*").values()):
        node = find(root, path)
        assert node is not None
        node.properties["local-mac-address"] = bytes([2, 0, 0, 0, 0, number])
    tree.reserved.append((0xBE000000, 0x200000))
    root.child("chosen").properties["kaslr-seed"] = bytes(8)


@pytest.mark.parametrize(("arch", "name"), TREES)
def test_a_kernels_own_tree_becomes_the_one_that_firmware_left(dtbs: dict[str, Path], arch: str, name: str) -> None:
    blob = (dtbs[arch] / name).read_bytes()
    running, plan = read_tree(blob), read_tree(blob)
    leave_to_kernel(running)
    wanted = write_tree(running)
    chosen = running.root.child("chosen").properties
    chosen |= {"bootargs": b"nr_cpus=1\0", "linux,initrd-start": bytes(3) + b"\1", "linux,initrd-end": bytes(3) + b"\2"}
    running.reserved += [(1, 1), (0x8000, 12345)]
    assert fix_up(plan, Running(running, 12345), SEED) == []
    got = read_tree(write_tree(plan))
    assert got.root.child("chosen").properties.pop("rng-seed") == SEED
    for key in ("bootargs", "rng-seed"):
        expected = read_tree(wanted)
        expected.root.child("chosen").properties.pop(key, None)
        wanted = write_tree(expected)
    assert source(write_tree(got)) == source(wanted)
