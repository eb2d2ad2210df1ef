"""What is odd about boards, and what the agent finds out about them before it asks."""

from dataclasses import replace
from pathlib import Path

import pytest

from bootpilot_agent.cpus import read_cpu
from bootpilot_agent.hardware import read_inventory
from bootpilot_agent.inventory import Board, Cpu, KexecCapability
from bootpilot_agent.traits import BOARDS, WATCHDOGS, kexec_trouble, to_unbind, watchdog_traits
from bootpilot_agent.unbinding import LetGo, bind_again, unbind_devices

PI_4, PI_5 = Board("", ("raspberrypi,4-model-b", "brcm,bcm2711")), Board("", ("raspberrypi,5-model-b", "brcm,bcm2712"))
ONE = Cpu("", 4, 1, "psci")


def write_cpus(root: Path, possible: str, hotplug: tuple[int, ...], method: bytes = b"") -> None:
    """Four CPUs in the device tree, of which the kernel knows `possible`."""
    folder, tree = root / "sys/devices/system/cpu", root / "sys/firmware/devicetree/base/cpus"
    for number in range(4):
        (tree / f"cpu@{number}").mkdir(parents=True)
        if method:
            (tree / f"cpu@{number}/enable-method").write_bytes(method + b"\0")
    last = int(possible.rpartition("-")[2])
    for number in range(last + 1):
        (folder / f"cpu{number}").mkdir(parents=True)
    for number in hotplug:
        (folder / f"cpu{number}/online").write_text("1\n")
    (folder / "possible").write_text(possible + "\n")
    (folder / "online").write_text("0\n")


@pytest.mark.parametrize(
    ("possible", "hotplug", "told"),
    [("0", (), None), ("0-3", (1, 2, 3), True), ("0-3", (0, 1, 2, 3), True), ("0-3", (), False), ("0-3", (1, 2), False)],
)
def test_whether_cpus_can_be_taken_away_is_read_from_the_kernel(
    tmp_path: Path, possible: str, hotplug: tuple[int, ...], told: bool | None
) -> None:
    write_cpus(tmp_path, possible, hotplug, b"psci")
    cpu = read_cpu(tmp_path)
    assert (cpu.hotplug, cpu.enable_method, cpu.possible, cpu.online) == (told, "psci", 4, 1)


@pytest.mark.parametrize(("arch", "refused"), [("arm64", True), ("armhf", True), ("amd64", False), ("riscv64", False)])
def test_cpus_that_cannot_be_parked_are_trouble_where_the_kernel_then_refuses(tmp_path: Path, arch: str, refused: bool) -> None:
    write_cpus(tmp_path, "0-3", (), b"spin-table")
    trouble = read_inventory(tmp_path, arch=arch).kexec.trouble
    assert bool(trouble) is refused
    assert not refused or ("enable-method spin-table" in trouble and "needs nr_cpus=1" in trouble)


def test_a_loader_on_one_cpu_has_no_such_trouble(tmp_path: Path) -> None:
    write_cpus(tmp_path, "0", (), b"spin-table")
    assert read_inventory(tmp_path, arch="arm64").kexec.trouble == ""


def test_a_board_whose_kexec_is_known_to_fail_is_named_with_the_source() -> None:
    assert "is known not to work on the Raspberry Pi 5" in kexec_trouble(PI_5, ONE, "arm64")
    assert "raspberrypi/linux/issues/6465" in kexec_trouble(PI_5, ONE, "arm64")
    assert kexec_trouble(PI_4, ONE, "arm64") == ""


def test_what_speaks_against_kexec_is_one_sentence() -> None:
    able = KexecCapability(load=True, file_load=False, lockdown="none")
    assert able.objection == ""
    assert replace(able, trouble="it hangs").objection == "it hangs"
    locked = KexecCapability(load=False, file_load=False, lockdown="integrity")
    assert locked.objection == "the loader kernel of this board has no kexec (locked down: integrity)"


def test_devices_are_taken_from_their_driver_where_the_board_needs_it(tmp_path: Path) -> None:
    driver = tmp_path / "sys/bus/pci/drivers/xhci_hcd"
    driver.mkdir(parents=True)
    (driver / "0000:00:14.0").symlink_to("../../../../devices/pci0000:00/0000:00:14.0")
    (driver / "module").symlink_to("../../../../module/xhci_pci")
    said: list[str] = []
    unbind_devices(Board("Apple Inc. MacBookAir7,2", ("Apple Inc.", "MacBookAir7,2")), said.append, tmp_path)
    assert (driver / "unbind").read_text() == "0000:00:14.0"
    assert said == ["xhci_hcd: let go of 0000:00:14.0 for the next kernel"]
    assert ("pci", "xhci_hcd") not in to_unbind(PI_4)


@pytest.mark.parametrize("board", [PI_4, Board("", ())], ids=["a board with a name", "one without"])
def test_no_network_device_of_virtio_is_left_that_could_write_into_the_next_kernel(board: Board, tmp_path: Path) -> None:
    driver = tmp_path / "sys/bus/virtio/drivers/virtio_net"
    driver.mkdir(parents=True)
    (driver / "virtio1").symlink_to("../../../../devices/platform/10008000.virtio_mmio/virtio1")
    said: list[str] = []
    let_go = unbind_devices(board, said.append, tmp_path)
    assert (driver / "unbind").read_text() == "virtio1"
    bind_again(let_go, said.append)
    assert (driver / "bind").read_text() == "virtio1"
    assert said == ["virtio_net: let go of virtio1 for the next kernel"]


def test_a_device_that_does_not_come_back_is_named(tmp_path: Path) -> None:
    said: list[str] = []
    bind_again([LetGo(tmp_path / "virtio_net", "virtio1")], said.append)
    assert said[0].startswith("virtio_net: virtio1 does not come back")


def test_a_device_that_cannot_be_let_go_does_not_stop_the_jump(tmp_path: Path) -> None:
    driver = tmp_path / "sys/bus/pci/drivers/xhci_hcd"
    (driver / "unbind").mkdir(parents=True)
    (driver / "0000:00:14.0").symlink_to("nowhere")
    said: list[str] = []
    unbind_devices(Board("Apple Inc. MacBookAir7,2", ()), said.append, tmp_path)
    assert "cannot be let go" in said[0]


def test_every_row_says_why() -> None:
    assert all(row.why and row.boards and (row.kexec_trouble or row.unbind) for row in BOARDS)
    assert all(row.cannot_stop or row.cannot_keep for row in WATCHDOGS.values())
    assert watchdog_traits("i6300ESB timer").cannot_keep == ""
