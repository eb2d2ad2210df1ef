"""Cards of boards that QEMU does not model, on the nearest relative that it does, with the identity of the board itself.

The kernel, the initramfs and the command line are the card's own; only who the board is comes from a tree in tests/data/boards.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.lab.boot_server import BootServer, free_port
from scripts.lab.chain import Wiring, build_for, make_guest, publish, server_url
from scripts.lab.demo import check_page
from scripts.lab.machine import Machine
from scripts.lab.machines_boards import SABRELITE, VEXPRESS_A15
from scripts.sdcard.extra_initrds import identity_initrd
from tests.qemu.conftest import Boot
from tests.qemu.waiting import wait_for_events

pytestmark = pytest.mark.long

BOARDS = Path(__file__).parents[1] / "data" / "boards"
# The PandaBoard's card names no console: there the device tree does, and this machine's has none.
RELATIVES = {
    "pandaboard": replace(VEXPRESS_A15, board="pandaboard", loader_arguments=("console=ttyAMA0",)),
    "imx53-qsb": SABRELITE,
}


@pytest.mark.parametrize(("board", "machine"), RELATIVES.items(), ids=RELATIVES)
def test_the_loader_of_a_board_that_is_not_simulated_runs_as_that_board_to_its_payload(
    board: str, machine: Machine, server: BootServer, boot: Boot, folder: Path
) -> None:
    expected = json.loads((BOARDS / board / "expected.json").read_text())
    parts = build_for(machine)
    server.start("--allow-simulated")
    publish(server, parts)
    port = free_port()
    identity = identity_initrd(BOARDS / board / "root", folder / "identity.cpio")
    wiring = Wiring(servers=(server_url(server),), forward_port=port)
    guest = make_guest(parts, board, folder, wiring, extra_initrds=(identity,))
    with boot(guest) as (running, verdict):
        check_page(port, guest, verdict)
        wait_for_events(server, "handover", "payload-up")
        (node,) = server.nodes()
        report, console = node["report"], running.console()
    assert (node["boot_id"], node["node_id"]) == (verdict.boot_id, verdict.node_id)
    assert report["simulated"] is True
    assert report["board"] == expected["inventory"]["board"]
    assert report["evidence"] == expected["evidence"]
    # The hardware is the machine's own.
    assert report["nics"][0]["mac"] != expected["inventory"]["nics"][0]["mac"]
    assert report["kexec"]["trouble"] == ""
    assert "what this board reports is marked as simulated" in console
    assert f"board: {expected['inventory']['board']['model']}" in console
