"""A board's whole life from its own card: installed by itself, started from its disk, and from its disk without a server."""

from collections.abc import Callable
from pathlib import Path

from scripts.lab.boot_server import BootServer, fetch, free_port
from scripts.lab.chain import Built
from scripts.lab.install_site import InstallWish
from scripts.lab.installing import install_kit
from scripts.lab.machines import MACHINES
from tests.conftest import LOST_KERNEL
from tests.qemu.install_bench import install_bench, mark_on

ARCH = "arm64"


def test_a_board_installs_itself_and_boots_its_disk_with_and_without_a_server(
    built: Callable[[str], Built], server: BootServer, folder: Path, record_property: Callable[[str, object], None]
) -> None:
    kit = install_kit(built(ARCH), "minimal")
    with install_bench(kit, folder, server, lambda why: record_property(LOST_KERNEL, why)) as bench:
        bench.deadline_s = 2 * MACHINES[ARCH].deadline_s
        bench.want(InstallWish(autonomous_after_s=0))
        disk, port = bench.disk("D1"), free_port()
        board = bench.board("install", disk, port=port)
        card = board.state(disk)
        installed = board.run_to_system()
        assert (installed.stages()[-1], installed.kernels(), installed.boots()) == ("marked", 2, 1)
        assert board.install()["state"] == "done"
        mark = mark_on(disk)
        assert mark is not None
        assert (mark.node_id, mark.install_id) == (board.node()["node_id"], board.install()["install_id"])
        planned = board.run_to_system()
        assert (planned.stages(), planned.kernels(), planned.boots()) == ([], 1, 2)
        server.stop()
        bench.relay.close()
        alone = board.run(lambda run: run.verdict() is not None and b"Boot 3 " in fetch(port, "/"), "it boots alone")
        assert (alone.kernels(), alone.boots()) == (1, 3)
        assert card.changed() == []
