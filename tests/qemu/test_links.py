"""Cables of a whole machine: without one, plugged in late, out and in again while the payload is fetched. QEMU pulls them."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.benchmark.baseline import padded_initrd
from scripts.lab.boot_server import BootServer
from scripts.lab.chain import Built, Wiring, make_guest, publish, server_url
from scripts.lab.guest import Guest, Nic, UserNet
from scripts.lab.vm import RunningGuest
from tests.qemu.conftest import DEADLINE_S, Boot
from tests.qemu.waiting import wait_for_events

pytestmark = pytest.mark.long
LATE_S, OUT_S, FLAPS = 20.0, 2.0, 3
# Of the initrd, which then takes some seconds to come.
PAYLOAD_BYTES = 96 << 20


def set_cable(running: RunningGuest, number: int, *, plugged: bool) -> None:
    """Of the adapter with this number on QEMU's command line."""
    running.qmp.command("set_link", name=f"net{number}", up=plugged)


def pc(built: Callable[[str], Built], server: BootServer, folder: Path, name: str, *, adapters: int = 1) -> Guest:
    """A PC with so many adapters, each on a network that leads to the server."""
    guest = make_guest(built("amd64"), name, folder, Wiring(servers=(server_url(server),)))
    more = (Nic(f"52:54:00:00:00:{number:02x}", UserNet()) for number in range(1, adapters))
    return replace(guest, nics=(*guest.nics, *more))


def test_the_first_adapter_has_no_cable_and_the_second_carries_the_boot(
    built: Callable[[str], Built], server: BootServer, boot: Boot, folder: Path
) -> None:
    server.start()
    publish(server, built("amd64"))
    guest = pc(built, server, folder, "no cable", adapters=2)
    with boot(guest, lambda running: set_cable(running, 0, plugged=False)) as (running, verdict):
        assert verdict.mac == guest.nics[1].mac
        assert f"MAC {guest.nics[0].mac}, no cable" in running.console()
        wait_for_events(server, "handover", "payload-up")


def test_a_cable_that_is_plugged_in_late_carries_the_boot(
    built: Callable[[str], Built], server: BootServer, boot: Boot, folder: Path
) -> None:
    server.start()
    publish(server, built("amd64"))

    def plug_in_late(running: RunningGuest) -> None:
        set_cable(running, 0, plugged=False)
        running.wait_for_line(r"no cable", DEADLINE_S["amd64"])
        time.sleep(LATE_S)
        assert "boot server:" not in running.console()
        set_cable(running, 0, plugged=True)

    with boot(pc(built, server, folder, "late cable"), plug_in_late) as (running, _):
        assert "eth0: cable connected" in running.console()
        wait_for_events(server, "handover", "payload-up")


def test_a_cable_that_comes_out_again_and_again_while_the_payload_is_fetched_only_delays_it(
    built: Callable[[str], Built], server: BootServer, boot: Boot, folder: Path
) -> None:
    server.start()
    made = built("amd64")
    large = padded_initrd(made.workload.initrd, PAYLOAD_BYTES, folder / "initrd")
    unpacked = made.workload.initrd_unpacked_bytes + PAYLOAD_BYTES
    publish(server, replace(made, workload=replace(made.workload, initrd=large, initrd_unpacked_bytes=unpacked)))

    def flap(running: RunningGuest) -> None:
        running.wait_for_line(r"kernel: .* MiB/s", DEADLINE_S["amd64"])
        for _ in range(FLAPS):
            set_cable(running, 0, plugged=False)
            time.sleep(OUT_S)
            set_cable(running, 0, plugged=True)
            time.sleep(OUT_S / 4)
        assert "jumping into" not in running.console()

    with boot(pc(built, server, folder, "flapping cable"), flap) as (running, _):
        assert running.console().count("eth0: cable disconnected") == FLAPS
        wait_for_events(server, "handover", "payload-up")
