"""A captured board's tree in an extra initrd: the agent takes its identity, and never hides that it was given."""

import json
import subprocess
from pathlib import Path

import pytest

from bootpilot_agent.evidence import EvidenceKind
from scripts.lab.given_identity import main
from tests.fakes.board import FakeBoard
from tests.fakes.boot_server import FakeBootServer
from tests.fakes.kernels import zimage

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


def test_without_the_extra_initrd_nothing_is_simulated(server: FakeBootServer, tmp_path: Path) -> None:
    board = FakeBoard(tmp_path, servers=(server.url,))
    board.boot()
    assert [report.simulated for report in server.reports] == [False]
    assert "identity: given" not in board.console


def test_a_folder_that_is_no_captured_tree_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "-o", str(tmp_path / "archive.cpio")]) == 1
    assert "the tree of a captured board holds proc and sys" in capsys.readouterr().err
