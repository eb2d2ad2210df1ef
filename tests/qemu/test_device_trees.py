"""Whole boots with a device tree that the plan carries, in place of the one that the loader runs with."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bootpilot_agent.run import run
from scripts.lab.boot_server import BootServer, fetch, free_port
from scripts.lab.chain import Built, Wiring, build_for, make_guest, publish, server_url
from scripts.lab.demo import check_page
from scripts.lab.device_tree import TIMEOUT_S, write_device_tree
from scripts.lab.guest import HOST_ADDRESS, Identity
from scripts.lab.machine import started_directly
from scripts.lab.machines_boards import BOARD_MACHINES
from tests.fakes.certificates import Certificates
from tests.qemu.conftest import Boot
from tests.qemu.waiting import wait_for_events

PLANS_BOARD = Identity.named("the plan's tree")
PLANS_MODEL = "A board as the plan describes it"


def test_a_payload_runs_with_the_device_tree_of_its_plan(
    built: Callable[[str], Built], server: BootServer, boot: Boot, folder: Path
) -> None:
    """Kernel and initramfs straight from QEMU, which makes the loader's tree: the card's way is another test's."""
    parts = without_firmware(built("armhf"))
    tree = folder / "plan.dtb"
    write_device_tree(parts.machine, PLANS_BOARD, tree)
    run(["fdtput", "-t", "s", str(tree), "/", "model", PLANS_MODEL], timeout_s=TIMEOUT_S)
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


@pytest.mark.long
def test_a_board_of_1970_has_a_bare_tree_over_https_and_runs_with_it_as_its_own(
    built: Callable[[str], Built], boot: Boot, folder: Path
) -> None:
    """The plan's tree says nothing of memory, of the firmware that starts CPUs, or of who this board is."""
    parts = built("arm64")
    tree = bare_tree(parts, folder)
    certificates = Certificates(folder)
    certificates.issue("boot", f"IP:{HOST_ADDRESS},IP:127.0.0.1")
    server = BootServer(folder / "home", folder / "boot.pem", folder / "boot.key")
    try:
        server.start()
        publish(server, parts, tree, "file+fixups")
        port = free_port()
        wiring = Wiring(servers=(server_url(server),), forward_port=port, ca=certificates.ca)
        guest = make_guest(parts, "bare tree", folder, wiring)
        with boot(replace(guest, extra=(*guest.extra, "-rtc", "base=1970-01-01"))) as (running, verdict):
            assert (verdict.serial, verdict.cpus) == (guest.identity.serial, guest.machine.cpus)
            check_page(port, guest, verdict)
            assert json.loads(fetch(port, "/status.json"))["model"] == PLANS_MODEL
            wait_for_events(server, "handover", "fetched")
            console = running.console()
        assert "clock: it says 1970-01-01, but it is later" in console
        assert f"boot server: https://{HOST_ADDRESS}:{server.port}" in console
        assert "known by its certificate" in console
        assert "device tree: the plan's, with memory, addresses and identity of the running one" in console
    finally:
        server.stop()


def bare_tree(parts: Built, folder: Path) -> Path:
    """What QEMU makes for this machine, without all that it is a firmware's part to put in."""
    tree = folder / "plan.dtb"
    write_device_tree(parts.machine, PLANS_BOARD, tree)
    nodes = run(["fdtget", "-l", str(tree), "/"], timeout_s=TIMEOUT_S).stdout.split()
    cpus = run(["fdtget", "-l", str(tree), "/cpus"], timeout_s=TIMEOUT_S).stdout.split()
    for name in nodes:
        if name == "psci" or name.startswith("memory"):
            run(["fdtput", "-r", str(tree), f"/{name}"], timeout_s=TIMEOUT_S)
    for name in cpus:
        if name.startswith("cpu@"):
            run(["fdtput", "-d", str(tree), f"/cpus/{name}", "enable-method"], timeout_s=TIMEOUT_S)
    run(["fdtput", "-d", str(tree), "/", "serial-number"], timeout_s=TIMEOUT_S)
    run(["fdtput", "-t", "s", str(tree), "/", "model", PLANS_MODEL], timeout_s=TIMEOUT_S)
    return tree


@pytest.mark.long
def test_an_orange_pi_runs_with_the_tree_of_debians_kernel_package(server: BootServer, boot: Boot, folder: Path) -> None:
    """From its card: memory, all four CPUs, serial number and MAC, which only U-Boot knows, come from the running tree."""
    parts = build_for(BOARD_MACHINES["orangepi-pc"])
    assert parts.loader.dtbs
    server.start()
    publish(server, parts, parts.loader.dtbs / "sun8i-h3-orangepi-pc.dtb", "file+fixups")
    port = free_port()
    guest = make_guest(parts, "Debian's tree", folder, Wiring(servers=(server_url(server),), forward_port=port))
    with boot(guest) as (running, verdict):
        (node,) = server.nodes()
        (nic,) = node["report"]["nics"]
        # The MAC that U-Boot makes of the chip's number (board/sunxi/board.c); a driver's random one has another beginning.
        assert nic["mac"].startswith("02:")
        assert (verdict.serial, verdict.mac, verdict.cpus) == (serial_of(node), nic["mac"], 4)
        assert "device tree: the plan's, with memory" in running.console()
        check_page(port, guest, verdict)


def serial_of(node: dict[str, Any]) -> str:
    (serial,) = [piece["value"] for piece in node["report"]["evidence"] if piece["kind"] == "dt-serial"]
    return str(serial)


def without_firmware(built: Built) -> Built:
    return replace(built, machine=started_directly(built.machine, built.machine.payload_arguments))
