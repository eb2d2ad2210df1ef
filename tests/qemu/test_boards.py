"""Each board's own card, from power on to its payload's page: all that QEMU can start with --boards, three of them always."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from scripts.lab.board_table import BoardRun
from scripts.lab.boot_server import BootServer, free_port
from scripts.lab.chain import Wiring, build_for, handed_over, make_guest, publish, server_url
from scripts.lab.demo import check_page
from scripts.lab.guest import Guest
from scripts.lab.machine import Card, Machine, Named, VerdictBy
from scripts.lab.machines import BY_BOARD
from scripts.lab.milestones import FIRMWARE, read_milestones
from scripts.lab.verdict import Verdict
from scripts.lab.vm import RunningGuest
from tests.qemu.conftest import Boot
from tests.qemu.waiting import wait_for, wait_for_events

# Those with firmware of their own kind that starts quickly; virt-arm64 and virt-armhf have whole boots in other files.
ORDINARY = frozenset({"uefi-amd64", "uefi-arm64"})
TRANSPORTS = {Card.VIRTIO: "virtio", Card.SLOT: "mmc", Card.SD_DEVICE: "mmc"}
# linux/if_link.h, IFLA_... addr_assign_type: NET_ADDR_SET.
SET_BY_THE_AGENT = 3

RecordProperty = Callable[[str, object], None]


def machines_that(are: Callable[[Machine], bool]) -> dict[str, Machine]:
    return {name: machine for name, machine in BY_BOARD.items() if are(machine)}


def rows(boards: dict[str, Machine]) -> list[object]:
    """A test for each of these boards; conftest.py picks those that are asked for."""
    return [
        pytest.param(name, machine, id=name, marks=pytest.mark.board(name, ordinary=name in ORDINARY))
        for name, machine in boards.items()
    ]


@pytest.mark.parametrize(("name", "machine"), rows(machines_that(lambda machine: machine.verdict is not VerdictBy.NONE)))
def test_a_board_boots_from_its_own_card_to_its_payloads_page(
    name: str, machine: Machine, server: BootServer, boot: Boot, folder: Path, record_property: RecordProperty
) -> None:
    row = asdict(BoardRun(name, "; ".join((machine.start.value, *machine.notes)), "failed"))
    record_property("board_run", row)
    parts = build_for(machine)
    server.start()
    publish(server, parts)
    port = free_port()
    guest = make_guest(parts, "boards", folder, Wiring(servers=(server_url(server),), forward_port=port))
    seen: list[RunningGuest] = []
    try:
        with boot(guest, seen.append) as (running, verdict):
            row["page_s"] = running.elapsed_s()
            check_page(port, guest, verdict)
            wait_for_events(server, "handover", "payload-up")
            (node,) = server.nodes()
            check_node(node, guest, verdict)
    finally:
        if seen:
            milestones = read_milestones(machine.start, seen[-1].lines)
            row |= {"agent_s": milestones.agent_s, "kexec_s": milestones.kexec_s}
    assert len(milestones.firmware) == len(FIRMWARE[machine.start]), "the firmware of this row did not speak"
    row["result"] = "passed: " + ", ".join([*milestones.firmware, f"{verdict.cpus} CPUs", f"MAC {verdict.mac} kept"])


@pytest.mark.parametrize(("name", "machine"), rows(machines_that(lambda machine: machine.verdict is VerdictBy.NONE)))
def test_a_board_whose_payload_has_no_network_in_qemu_jumps_into_it_from_its_own_card(
    name: str, machine: Machine, server: BootServer, folder: Path, record_property: RecordProperty
) -> None:
    """As far as the model goes: card, network, plan, every byte of the payload, kexec, and the payload's first program."""
    row = asdict(BoardRun(name, "; ".join((machine.start.value, *machine.notes)), "failed"))
    record_property("board_run", row)
    parts = build_for(machine)
    server.start()
    publish(server, parts)
    guest = make_guest(parts, "boards", folder, Wiring(servers=(server_url(server),)))
    with handed_over(guest) as running:
        wait_for_events(server, "fetched", "handover")
        milestones = read_milestones(machine.start, running.lines)
        console = running.console()
    (node,) = server.nodes()
    check_card(node, guest)
    assert node["report"]["cpu"]["online"] == 1
    after = console.rpartition("Starting new kernel")[2]
    assert f"Brought up 1 node, {machine.expected_cpus} CPUs" in after
    row |= {"agent_s": milestones.agent_s, "kexec_s": milestones.kexec_s}
    row["result"] = f"passed as far as QEMU goes: {machine.expected_cpus} CPUs, the payload's first program runs"


@pytest.mark.parametrize(("name", "machine"), rows(machines_that(lambda machine: machine.named is Named.DISK)))
def test_a_board_with_a_random_mac_has_the_same_one_in_its_payload_and_after_the_next_power_on(
    name: str, machine: Machine, server: BootServer, boot: Boot, folder: Path
) -> None:
    """Nothing on such a board has a number but its SATA disk: the MAC follows from that, before DHCP asks."""
    parts = build_for(machine)
    server.start()
    publish(server, parts)
    guest = make_guest(parts, "power cycles", folder, Wiring(servers=(server_url(server),), forward_port=free_port()))
    with boot(guest) as (_, verdict):
        first = node_of(server, verdict.boot_id)
    with boot(guest) as (running, verdict):
        second = node_of(server, verdict.boot_id)
        console = running.console()
    for node in (first, second):
        (disk,) = [disk for disk in node["report"]["disks"] if not disk["boot_medium"]]
        assert (disk["transport"], disk["serial"]) == ("sata", guest.identity.serial)
        (nic,) = node["report"]["nics"]
        assert (nic["mac"], nic["addr_assign_type"]) == (verdict.mac, SET_BY_THE_AGENT)
    assert first["node_id"] == second["node_id"], name
    assert first["boot_id"] != second["boot_id"]
    assert f"MAC {verdict.mac}" in console
    assert "instead of random" in console
    assert console.index("instead of random") < console.index("from DHCP server")


def check_node(node: dict[str, Any], guest: Guest, verdict: Verdict) -> None:
    """The server and the payload speak of one board and one boot."""
    report = node["report"]
    assert (node["node_id"], node["boot_id"]) == (verdict.node_id, verdict.boot_id)
    assert verdict.mac in [nic["mac"] for nic in report["nics"]]
    assert verdict.cpus == guest.machine.expected_cpus
    check_card(node, guest)


def check_card(node: dict[str, Any], guest: Guest) -> None:
    assert node["report"]["arch"] == guest.machine.arch
    (card,) = [disk for disk in node["report"]["disks"] if disk["boot_medium"]]
    assert card["transport"] == TRANSPORTS[guest.machine.card]


def node_of(server: BootServer, boot_id: str) -> dict[str, Any]:
    """The one node, once the server has heard that its payload of this boot is up."""
    found: dict[str, Any] = {}

    def is_up() -> bool:
        (node,) = server.nodes()
        found.update(node)
        return node["boot_id"] == boot_id and "payload-up" in [event["name"] for event in node["events"]]

    wait_for(is_up)
    return found
