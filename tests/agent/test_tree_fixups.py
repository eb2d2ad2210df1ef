"""What a plan's device tree takes from the running one, on trees as firmware leaves them."""

from dataclasses import dataclass
from pathlib import Path

import pytest

import bootpilot_agent
from bootpilot_agent.errors import PlanError
from bootpilot_agent.flat_tree import FlatTree, Node, read_tree, write_tree
from bootpilot_agent.overlays import apply_overlays
from bootpilot_agent.tree_fixups import FIXUPS, describe, fix_up
from bootpilot_agent.tree_memory import Running
from bootpilot_agent.tree_nodes import find, strings
from tests.fakes.device_trees import compiled, source

SEED = bytes(range(64))


@dataclass
class Fixed:
    """A plan's tree with its fix-ups, read back from its bytes."""

    tree: FlatTree
    notes: list[str]
    plan: FlatTree

    def at(self, path: str) -> dict[str, bytes]:
        node = find(self.tree.root, path)
        assert node is not None, path
        return node.properties

    def words(self, path: str, key: str) -> list[int]:
        value = self.at(path)[key]
        return [int.from_bytes(value[at : at + 4], "big") for at in range(0, len(value), 4)]


def fixed(name: str) -> Fixed:
    running = compiled(f"{name}-running")
    plan = read_tree(compiled(f"{name}-plan"))
    notes = fix_up(plan, Running(read_tree(running), len(running)), SEED)
    blob = write_tree(plan)
    assert source(blob)
    return Fixed(read_tree(blob), notes, read_tree(compiled(f"{name}-plan")))


@pytest.fixture(scope="module")
def orangepi() -> Fixed:
    return fixed("orangepi-pc")


@pytest.fixture(scope="module")
def raspberrypi() -> Fixed:
    return fixed("raspberrypi-3")


def test_memory_is_what_firmware_counted(orangepi: Fixed, raspberrypi: Fixed) -> None:
    assert orangepi.words("/memory", "reg") == [0x40000000, 0x40000000]
    assert orangepi.at("/memory")["device_type"] == b"memory\0"
    # Two cells for an address in the running tree, one in the plan's.
    assert raspberrypi.words("/memory@0", "reg") == [0, 0x3B400000]


def test_the_cpus_are_started_as_firmware_wants_it(orangepi: Fixed, raspberrypi: Fixed) -> None:
    assert [orangepi.at(f"/cpus/cpu@{number}")["enable-method"] for number in range(4)] == [b"psci\0"] * 4
    assert strings(orangepi.at("/psci")["compatible"])[0] == "arm,psci-1.0"
    assert orangepi.at("/psci")["method"] == b"smc\0"
    assert "cpu-release-addr" not in raspberrypi.at("/cpus/cpu@0")
    assert "enable-method" not in raspberrypi.at("/cpus")
    assert raspberrypi.at("/cpus/cpu@1")["status"] == b"disabled\0"


def test_serial_numbers_and_macs_are_this_boards(orangepi: Fixed, raspberrypi: Fixed) -> None:
    assert orangepi.at("/")["serial-number"] == b"02c000814a58bd80\0"
    assert orangepi.at("/soc/ethernet@1c30000")["local-mac-address"] == bytes.fromhex("02814a58bd80")
    assert raspberrypi.words("/system", "linux,revision") == [0xA02082]
    ethernet = raspberrypi.at("/soc/usb@7e980000/usb-port@1/usbether@1")
    assert ethernet["local-mac-address"] == bytes.fromhex("b827ebb2c3d4")


def test_memory_that_firmware_keeps_stays_reserved_but_for_the_loaders_own_initrd(orangepi: Fixed, raspberrypi: Fixed) -> None:
    assert (0x7E000000, 0x10000) in orangepi.tree.reserved
    assert 0x43300000 not in [start for start, _ in orangepi.tree.reserved]
    assert raspberrypi.tree.reserved == [(0, 0x1000)]
    assert raspberrypi.words("/reserved-memory/secure@30000000", "reg") == [0x30000000, 0x100000]
    assert raspberrypi.words("/reserved-memory/linux,cma", "alloc-ranges") == [0, 0x30000000]
    assert raspberrypi.words("/reserved-memory/linux,cma", "size") == [0x8000000]


def test_the_running_trees_own_place_in_memory_is_not_reserved_for_ever() -> None:
    running = read_tree(compiled("orangepi-pc-running"))
    plan = read_tree(compiled("orangepi-pc-plan"))
    fix_up(plan, Running(running, 0x5FF0), SEED)
    assert 0x43000000 not in [start for start, _ in plan.reserved]


def test_phandles_are_the_plans_own(orangepi: Fixed, raspberrypi: Fixed) -> None:
    blconfig = raspberrypi.at("/reserved-memory/nvram@0")
    assert raspberrypi.words("/reserved-memory/nvram@0", "reg") == [0x3EBF0000, 0x100]
    assert blconfig["status"] == b"okay\0"
    assert blconfig["phandle"] == raspberrypi.at("/soc/consumer")["nvmem"]
    assert "phandle" not in raspberrypi.at("/reserved-memory/secure@30000000")
    framebuffer = orangepi.at("/chosen/framebuffer-hdmi")
    assert framebuffer["clocks"][:4] == orangepi.at("/soc/clock@1c20000")["phandle"]
    for one in (orangepi, raspberrypi):
        numbers = [node.properties["phandle"] for node in one.tree.root.walk() if "phandle" in node.properties]
        assert len(numbers) == len(set(numbers))


def test_a_screen_that_firmware_has_set_up_stays(orangepi: Fixed) -> None:
    assert orangepi.words("/chosen/framebuffer-hdmi", "reg") == [0x7F000000, 0x7E9000]
    assert orangepi.at("/chosen/framebuffer-hdmi")["status"] == b"okay\0"


def test_nothing_of_the_loaders_own_start_goes_on(orangepi: Fixed, raspberrypi: Fixed) -> None:
    for one in (orangepi, raspberrypi):
        chosen = one.at("/chosen")
        assert {"bootargs", "linux,initrd-start", "linux,initrd-end"}.isdisjoint(chosen)
        assert chosen["rng-seed"] == SEED
    assert orangepi.at("/chosen")["kaslr-seed"] == bytes(8)
    assert "kaslr-seed" not in raspberrypi.at("/chosen")


def test_firmwares_interfaces_stay_as_far_as_they_stand_alone(raspberrypi: Fixed) -> None:
    assert raspberrypi.at("/firmware/optee")["method"] == b"smc\0"
    assert find(raspberrypi.tree.root, "/firmware/scmi") is None
    assert "/firmware/scmi of the running tree is not in the plan's" in raspberrypi.notes


def test_what_firmware_switched_otherwise_is_told_and_left(orangepi: Fixed) -> None:
    assert orangepi.notes == ["1 devices are on in one of the two trees and off in the other: /soc/spi@1c68000"]
    assert orangepi.at("/soc/spi@1c68000")["status"] == b"disabled\0"


def test_everything_else_is_the_plans(orangepi: Fixed) -> None:
    for path in ("/soc/ethernet@1c30000", "/soc/serial@1c28000", "/cpus/cpu@0"):
        before = find(orangepi.plan.root, path)
        assert before is not None
        assert before.properties.items() <= orangepi.at(path).items()


def tree(compatible: bytes = b"acme,board\0", **nodes: Node) -> FlatTree:
    root = Node("", {"compatible": compatible, "#address-cells": b"\0\0\0\2", "#size-cells": b"\0\0\0\1"})
    root.children = [Node(name.replace("_", ","), node.properties, node.children) for name, node in nodes.items()]
    return FlatTree(root)


def test_a_tree_of_another_board_is_refused_by_name() -> None:
    with pytest.raises(PlanError, match="is for acme,other, and this board is acme,board, acme,soc") as raised:
        fix_up(tree(b"acme,other\0"), Running(tree(b"acme,board\0acme,soc\0"), 0), SEED)
    assert "a profile with its own tree" in raised.value.hint
    fix_up(tree(b"acme,other\0acme,soc\0"), Running(tree(b"acme,board\0acme,soc\0"), 0), SEED)


def test_under_uefi_the_memory_map_is_kept_and_no_other_counts() -> None:
    uefi = {"linux,uefi-system-table": bytes(8), "linux,uefi-mmap-start": b"\1" * 8}
    plan = tree(memory=Node("", {"device_type": b"memory\0"}))
    fix_up(plan, Running(tree(chosen=Node("", uefi)), 0), SEED)
    assert find(plan.root, "/memory") is None
    assert uefi.items() <= plan.root.child("chosen").properties.items()
    fix_up(plan, Running(tree(), 0), SEED)
    assert uefi.keys().isdisjoint(plan.root.child("chosen").properties)


def test_without_memory_in_the_running_tree_the_plans_counts_and_that_is_told() -> None:
    plan = tree(memory=Node("", {"device_type": b"memory\0"}))
    assert fix_up(plan, Running(tree(), 0), SEED) == ["the running tree says nothing of memory; the plan's own counts"]
    assert find(plan.root, "/memory") is not None


def test_memory_that_the_plans_tree_has_no_room_for_is_refused() -> None:
    plan = tree()
    plan.root.properties["#address-cells"] = b"\0\0\0\1"
    high = Node("", {"device_type": b"memory\0", "reg": (1 << 32).to_bytes(8, "big") + b"\0\0\x10\0"})
    with pytest.raises(PlanError, match="has 1 cells for what needs more: memory has reg 0x100000000"):
        fix_up(plan, Running(tree(memory=high), 0), SEED)


def test_a_console_is_taken_where_the_plan_names_none_by_a_path_that_it_has() -> None:
    running = tree(
        chosen=Node("", {"stdout-path": b"serial0:115200n8\0"}), aliases=Node("", {"serial0": b"/uart\0"}), uart=Node("")
    )
    plan = tree(uart=Node(""))
    fix_up(plan, Running(running, 0), SEED)
    assert plan.root.child("chosen").properties["stdout-path"] == b"/uart:115200n8\0"
    other = tree()
    assert "the console /uart is not in the plan's tree" in fix_up(other, Running(running, 0), SEED)


def test_a_mac_without_a_place_is_told() -> None:
    running = tree(aliases=Node("", {"ethernet0": b"/nic\0"}), nic=Node("", {"mac-address": b"\2\0\0\0\0\1"}))
    assert "the MAC of ethernet0 has no place in the plan's tree (/nic)" in fix_up(tree(), Running(running, 0), SEED)
    plan = tree(nic=Node("", {"local-mac-address": bytes(6)}))
    fix_up(plan, Running(running, 0), SEED)
    assert plan.root.child("nic").properties == {"mac-address": b"\2\0\0\0\0\1"}


def test_a_plans_psci_is_dropped_where_the_boards_firmware_has_none() -> None:
    plan = tree(psci=Node("", {"method": b"smc\0"}))
    fix_up(plan, Running(tree(), 0), SEED)
    assert find(plan.root, "/psci") is None


def test_bus_windows_of_a_raspberry_pi_4_are_those_of_its_stepping() -> None:
    def pi(window: bytes) -> FlatTree:
        return tree(aliases=Node("", {"emmc2bus": b"/emmc2bus\0"}), emmc2bus=Node("", {"dma-ranges": window}))

    plan = pi(b"old!")
    fix_up(plan, Running(pi(b"new!"), 0), SEED)
    assert plan.root.child("emmc2bus").properties["dma-ranges"] == b"new!"


def test_an_overlay_is_merged_by_labels() -> None:
    base = compiled("orangepi-pc-plan", "-@")
    merged = read_tree(apply_overlays(base, [("flash", compiled("spi-flash-overlay", "-@"))]))
    spi = find(merged.root, "/soc/spi@1c68000")
    assert spi is not None
    assert spi.properties["status"] == b"okay\0"
    assert [child.name for child in spi.children] == ["flash@0"]


@pytest.mark.parametrize(
    ("base", "overlay", "hint"),
    [
        (compiled("orangepi-pc-plan"), compiled("spi-flash-overlay", "-@"), "labels are in trees made by `dtc -@` only"),
        (compiled("orangepi-pc-plan", "-@"), compiled("spi-flash-overlay", "-@")[:-8], "made for this board's tree?"),
        (compiled("orangepi-pc-plan", "-@"), bytes(64), "made for this board's tree?"),
    ],
)
def test_an_overlay_that_does_not_fit_is_refused_by_name(base: bytes, overlay: bytes, hint: str) -> None:
    with pytest.raises(PlanError, match="device tree: flash cannot be applied") as raised:
        apply_overlays(base, [("flash", overlay)])
    assert hint in raised.value.hint


def test_the_documentation_has_the_table() -> None:
    assert "\n".join(describe()) in (Path(bootpilot_agent.__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert all(row.reason for row in FIXUPS)
