"""Whole boots, in process: the agent's real code against a real HTTP server, up to the jump."""

from pathlib import Path

import pytest

from bootpilot_agent.events import EventName
from tests.fakes.board import FakeBoard
from tests.fakes.boot_server import FakeBootServer
from tests.fakes.kernels import KERNELS


@pytest.mark.parametrize("arch", KERNELS)
def test_a_board_boots_what_the_plan_says(arch: str, tmp_path: Path) -> None:
    with FakeBootServer() as server:
        server.offer(KERNELS[arch](), b"first initrd", b"second")
        board = FakeBoard(tmp_path, arch=arch, servers=(server.url,))
        ending = board.boot()
    assert ending.how == "kexec -e", board.console
    loaded = board.run.loaded
    assert loaded is not None
    assert loaded.kernel == KERNELS[arch]()
    assert loaded.initrd.startswith(b"first initrd" + b"second\0\0" + b"070701")
    assert loaded.command_line == "console=ttyS0 panic=10"
    assert board.network.is_down
    assert board.watchdog.calls[-1] == "stop"
    assert server.events() == [
        EventName.STARTED,
        EventName.NETWORK_UP,
        EventName.IDENTIFIED,
        EventName.PLANNED,
        EventName.FETCHED,
        EventName.LOADED,
        EventName.HANDOVER,
    ]
