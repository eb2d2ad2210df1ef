"""What a board cannot do is said before it asks, and never tried."""

from pathlib import Path

from bootpilot_agent.inventory import KexecCapability
from tests.fakes.board import FakeBoard
from tests.fakes.boot_server import FakeBootServer
from tests.fakes.kernels import KERNELS


def test_a_board_on_which_the_jump_is_known_to_fail_says_so_and_is_not_sent_into_silence(
    server: FakeBootServer, tmp_path: Path
) -> None:
    """Here by a server that gives it a payload all the same."""
    server.offer(KERNELS["arm64"](), b"an initrd")
    board = FakeBoard(tmp_path, arch="arm64", servers=(server.url,), compatible="raspberrypi,5-model-b")
    assert board.boot().exit_code == 68
    assert "is known not to work on the Raspberry Pi 5" in server.reports[0].inventory.kexec.trouble
    assert "FAILED at plan: the plan boots a payload, and here kexec is known not to work" in board.console
    assert board.run.loaded is None


def test_other_boards_report_what_was_found(server: FakeBootServer, tmp_path: Path) -> None:
    server.offer(KERNELS["arm64"](), b"an initrd")
    board = FakeBoard(tmp_path, arch="arm64", servers=(server.url,))
    method = board.root / "sys/firmware/devicetree/base/cpus/cpu@0/enable-method"
    method.parent.mkdir(parents=True)
    method.write_bytes(b"psci\0")
    assert board.boot().how == "kexec -e", board.console
    (report,) = server.reports
    assert report.inventory.cpu.enable_method == "psci"
    assert report.inventory.kexec == KexecCapability(load=True, file_load=False, lockdown="")
