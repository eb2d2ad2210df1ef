"""A captured board's tree in an extra initrd: the agent takes its identity, and never hides that it was given."""

import json
import subprocess
from pathlib import Path

import pytest

from bootpilot_agent.evidence import EvidenceKind
from bootpilot_agent.given_identity import IDENTITY
from scripts.lab.given_identity import main
from tests.fakes.board import FakeBoard
from tests.fakes.boot_server import FakeBootServer
from tests.fakes.kernels import zimage

TREE = "sys/firmware/devicetree/base"
BOARDS = Path(__file__).parents[1] / "data/boards"


def board_with_identity_of(name: str, folder: Path, server: FakeBootServer) -> FakeBoard:
    """An armhf machine of another kind, with the extra initrd unpacked into its root as the kernel does."""
    board = FakeBoard(folder, arch="armhf", servers=(server.url,), serial="THE-MACHINES-OWN")
    archive = folder / "identity.cpio"
    assert main([str(BOARDS / name / "root"), "-o", str(archive)]) == 0
    with archive.open("rb") as stream:
        subprocess.run(["cpio", "-idm", "--quiet"], stdin=stream, cwd=board.root, check=True, timeout=60)
    return board


@pytest.mark.parametrize("name", ["pandaboard", "imx53-qsb"])
def test_a_given_identity_is_what_the_board_reports_and_it_is_marked_as_simulated(
    name: str, server: FakeBootServer, tmp_path: Path
) -> None:
    server.offer(zimage())
    board = board_with_identity_of(name, tmp_path, server)
    command_line = board.root / "proc/cmdline"
    command_line.write_text(command_line.read_text().strip() + " bootpilot.simulated=false\n")
    assert board.boot().how == "kexec -e", board.console
    expected = json.loads((BOARDS / name / "expected.json").read_text())
    (report,) = server.reports
    assert [piece.to_json() for piece in report.evidence] == expected["evidence"]
    assert report.inventory.board.to_json() == expected["inventory"]["board"]
    assert report.simulated
    assert board.run.loaded is not None
    assert board.run.loaded.note["simulated"] is True
    assert "identity: given by a test in /bootpilot/identity" in board.console
    assert f"board: {expected['inventory']['board']['model']}" in board.console


def test_only_the_identity_is_given_not_the_hardware(server: FakeBootServer, tmp_path: Path) -> None:
    server.offer(zimage())
    board = board_with_identity_of("pandaboard", tmp_path, server)
    board.boot()
    (report,) = server.reports
    assert report.inventory.memory_bytes == 1012345 * 1024
    assert (report.inventory.nics, report.inventory.disks) == ((), ())
    assert EvidenceKind.DT_SERIAL not in {piece.kind for piece in report.evidence}


@pytest.mark.parametrize(("machine", "takes_a_bare_tree"), [("linux,dummy-virt", True), ("vendor,a-board", False)])
def test_what_goes_by_the_machines_own_name_does_not_go_by_the_given_one(
    machine: str, takes_a_bare_tree: bool, server: FakeBootServer, tmp_path: Path
) -> None:
    server.offer(zimage())
    board = board_with_identity_of("pandaboard", tmp_path, server)
    tell_machine(board, machine)
    tell_given(board, "vendor,a-board" if takes_a_bare_tree else "linux,dummy-virt")
    assert board.boot().how == "kexec -e", board.console
    (report,) = server.reports
    assert ("dtb:file" in report.features) is takes_a_bare_tree


def test_kexec_that_fails_on_the_machine_is_named_whatever_board_it_is_said_to_be(
    server: FakeBootServer, tmp_path: Path
) -> None:
    board = board_with_identity_of("pandaboard", tmp_path, server)
    tell_machine(board, "brcm,bcm2712")
    board.boot()
    assert "is known not to work on the Raspberry Pi 5" in server.reports[0].inventory.kexec.trouble


def test_kexec_that_fails_on_the_given_board_does_not_fail_on_the_machine(server: FakeBootServer, tmp_path: Path) -> None:
    server.offer(zimage())
    board = board_with_identity_of("pandaboard", tmp_path, server)
    tell_given(board, "brcm,bcm2712")
    assert board.boot().how == "kexec -e", board.console
    assert server.reports[0].inventory.board.compatible == ("brcm,bcm2712",)
    assert server.reports[0].inventory.kexec.trouble == ""


def test_devices_are_let_go_where_the_machine_needs_it_not_where_the_given_board_would(
    server: FakeBootServer, tmp_path: Path
) -> None:
    server.offer(zimage())
    let_go = []
    for number, model in enumerate(("Apple Inc. MacBookAir7,2", "a board")):
        board = board_with_identity_of("pandaboard", tmp_path / str(number), server)
        driver = board.root / "sys/bus/pci/drivers/xhci_hcd"
        driver.mkdir(parents=True)
        (driver / "0000:00:14.0").symlink_to("nowhere")
        (board.root / TREE / "model").write_text(f"{model}\0")
        (board.root / IDENTITY / TREE / "model").write_text("a board\0" if number == 0 else "Apple Inc. MacBookAir7,2\0")
        assert board.boot().how == "kexec -e", board.console
        let_go.append((driver / "unbind").exists())
    assert let_go == [True, False]


def tell_machine(board: FakeBoard, compatible: str) -> None:
    (board.root / TREE / "compatible").write_text(f"{compatible}\0")


def tell_given(board: FakeBoard, compatible: str) -> None:
    (board.root / IDENTITY / TREE / "compatible").write_text(f"{compatible}\0")


def test_without_the_extra_initrd_nothing_is_simulated(server: FakeBootServer, tmp_path: Path) -> None:
    board = FakeBoard(tmp_path, servers=(server.url,))
    board.boot()
    assert [report.simulated for report in server.reports] == [False]
    assert "identity: given" not in board.console


def test_a_folder_that_is_no_captured_tree_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "-o", str(tmp_path / "archive.cpio")]) == 1
    assert "the tree of a captured board holds proc and sys" in capsys.readouterr().err
