"""A newer loader over the network: the card's one starts it, it goes on by itself, and the card may be gone by then."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bootpilot_agent.cpio import directory, regular, write_cpio
from scripts.lab.boot_server import BootServer
from scripts.lab.chain import Built, Wiring, make_guest, publish, server_url
from scripts.lab.guest import Guest
from scripts.lab.machine import started_directly
from scripts.lab.vm import RunningGuest
from tests.qemu.conftest import DEADLINE_S, Boot
from tests.qemu.newer_loader import publish_loader
from tests.qemu.small_card import CARD_ARGUMENT, write_card
from tests.qemu.waiting import wait_for_events

NEW_BUILD = "feedfacefeedface"


def write_newer_build(built: Built, folder: Path) -> Path:
    """An archive that makes another build of the loader: of archives joined together, the last one wins."""
    facts = {"arch": built.machine.arch, "agent_version": "9.9.9", "build_id": NEW_BUILD, "built_unix_s": 1_700_000_000}
    path = folder / "newer.cpio"
    with path.open("wb") as stream:
        entry = regular("etc/bootpilot/build.json", json.dumps(facts).encode(), 0o644)
        write_cpio([directory("etc"), directory("etc/bootpilot"), entry], stream)
    return path


def with_stick(guest: Guest, card: Path) -> Guest:
    """The same machine with a card on USB, which can be pulled."""
    drive = f"if=none,id=card,format=raw,file={card}"
    stick = "usb-storage,id=stick,drive=card,bus=usb.0"
    return replace(guest, extra=("-device", "qemu-xhci,id=usb", "-drive", drive, "-device", stick))


def started_by_qemu(built: Built) -> Built:
    """Without firmware and its card, so that the card can be one that is pulled."""
    console = f"console={built.machine.console}"
    return replace(built, machine=started_directly(built.machine, (console, "panic=10", "nr_cpus=1")))


@pytest.mark.long
@pytest.mark.parametrize("arch", ["amd64", "armhf", "riscv64"])
def test_the_cards_loader_starts_a_newer_one_and_that_one_the_payload_though_the_card_was_pulled(
    arch: str, built: Callable[[str], Built], server: BootServer, boot: Boot, folder: Path
) -> None:
    parts = started_by_qemu(built(arch))
    server.start()
    publish(server, parts)
    publish_loader(server, parts, folder / "new", NEW_BUILD, write_newer_build(parts, folder))
    card = write_card(folder / "card.img", f'server = "{server_url(server)}"\nvendor_class = "rack-7"\n')
    words = (CARD_ARGUMENT, "bootpilot.watchdog=0")
    guest = with_stick(make_guest(parts, "newer", folder, Wiring(), words), card)

    def pull_the_card(running: RunningGuest) -> None:
        running.wait_for_line(r"card: /dev/sd", DEADLINE_S[arch])
        running.qmp.command("device_del", id="stick")

    with boot(guest, pull_the_card) as (running, verdict):
        console = running.console()
        assert console.count("Starting new kernel") == 2
        assert "card: its settings are those that the loader before this one read" in console
        assert console.count("watchdog: not used (setting)") == 2
        wait_for_events(server, "payload-up")
        (node,) = server.nodes()
        assert node["boot_id"] == verdict.boot_id
        assert node["report"]["loader_builds"] == [parts.loader.build_id, NEW_BUILD]
        assert any("it is what this board runs" in reason for reason in node["why"])
