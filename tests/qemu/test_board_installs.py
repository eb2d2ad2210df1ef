"""Boards with a chip of their own install themselves onto the SATA disk that they have."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.lab.boot_server import BootServer, free_port
from scripts.lab.chain import build_for
from scripts.lab.disks import Bus, Disk
from scripts.lab.install_site import InstallWish
from scripts.lab.installing import install_kit
from scripts.lab.machines_boards import CUBIEBOARD
from tests.conftest import LOST_KERNEL
from tests.qemu.install_bench import install_bench, mark_on

pytestmark = pytest.mark.long

DISK_BYTES = 512 << 20


def test_a_cubieboard_installs_itself_onto_its_sata_disk_once_a_person_has_approved_it_by_name(
    server: BootServer, folder: Path, record_property: Callable[[str, object], None]
) -> None:
    """Its card's boot ROM, SPL and U-Boot, its own SATA port and Ethernet. It is known by its disk's serial number only."""
    kit = install_kit(build_for(CUBIEBOARD), "minimal")
    with install_bench(kit, folder, server, lambda why: record_property(LOST_KERNEL, why)) as bench:
        bench.deadline_s = 3 * CUBIEBOARD.deadline_s
        bench.want(InstallWish())
        board = bench.board("cubieboard", port=free_port())
        # The machine's row attaches it: it is what tells one Cubieboard of QEMU's from another.
        disk = Disk(board.guest.disk_path, Bus.ONBOARD_SATA, board.guest.identity.serial)
        with disk.path.open("r+b") as stream:
            stream.truncate(DISK_BYTES)
        card = board.state()
        board.run(lambda _: bool(server.json("node", "list")), "the server hears of it")
        assert board.node()["approved"] is False
        server.command("approve", board.node()["node_id"])
        installed = board.run_to_system()
        assert (installed.stages()[-1], installed.kernels(), board.install()["state"]) == ("marked", 2, "done")
        assert mark_on(disk) is not None
        started = board.run_to_system()
        assert (started.stages(), started.kernels(), started.boots()) == ([], 1, 2)
        assert card.changed() == []
