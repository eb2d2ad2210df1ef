"""Whole boots with a device tree that the plan carries, in place of the one that the loader runs with."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bootpilot_agent.run import run
from scripts.lab.boot_server import BootServer, fetch, free_port
from scripts.lab.chain import Built, Wiring, make_guest, publish, server_url
from scripts.lab.demo import check_page
from scripts.lab.device_tree import TIMEOUT_S, write_device_tree
from scripts.lab.guest import Identity
from scripts.lab.machine import started_directly
from tests.qemu.conftest import Boot
from tests.qemu.waiting import wait_for_events

PLANS_BOARD = Identity.named("the plan's tree")
PLANS_MODEL = "A board as the plan describes it"


@pytest.mark.parametrize("arch", ["arm64", "armhf"])
def test_a_payload_runs_with_the_device_tree_of_its_plan(
    arch: str, built: Callable[[str], Built], server: BootServer, boot: Boot, folder: Path
) -> None:
    """Kernel and initramfs straight from QEMU, which makes the loader's tree: the card's way is another test's."""
    parts = without_firmware(built(arch))
    tree = folder / "plan.dtb"
    write_device_tree(parts.machine, PLANS_BOARD, tree)
    run(["fdtput", "-t", "s", str(tree), "/", "model", PLANS_MODEL], timeout_s=TIMEOUT_S)
    # A kernel zeroes this seed when it has used it. kexec-tools on arm64 puts a fresh one in the place of a zero, and refuses a
    # tree with any other (setup_2nd_dtb in kexec/arch/arm64/kexec-arm64.c).
    run(["fdtput", "-t", "x", str(tree), "/chosen", "kaslr-seed", "0", "0"], timeout_s=TIMEOUT_S)
    server.start()
    publish(server, parts, tree)
    port = free_port()
    guest = make_guest(parts, "plan's tree", folder, Wiring(servers=(server_url(server),), forward_port=port))
    with boot(guest) as (_, verdict):
        assert (verdict.serial, verdict.cpus) == (PLANS_BOARD.serial, guest.machine.cpus)
        check_page(port, guest, verdict)
        assert json.loads(fetch(port, "/status.json"))["model"] == PLANS_MODEL
        wait_for_events(server, "handover", "payload-up")
        assert [node["report"]["board"]["model"] for node in server.nodes()] == ["linux,dummy-virt"]


def without_firmware(built: Built) -> Built:
    return replace(built, machine=started_directly(built.machine, built.machine.payload_arguments))
