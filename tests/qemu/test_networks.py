"""Whole boots over networks that ask more of the board than a cable and DHCP: a VLAN, an adapter that appears late."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.lab.boot_server import BootServer, fetch, free_port
from scripts.lab.chain import Built, Wiring, make_guest, publish, server_url
from scripts.lab.demo import check_page
from scripts.lab.guest import Nic, SwitchedNet, UserNet
from scripts.lab.qemu_argv import user_netdev
from scripts.lab.vlan_switch import add_tag, take_tag, vlan_switch
from scripts.lab.vm import RunningGuest
from tests.qemu.conftest import DEADLINE_S, Boot
from tests.qemu.waiting import wait_for_events

VLAN = 42
# Long enough for the agent to have done all that it does without a network.
LATE_S, VERY_LATE_S = 5.0, 20.0
ADDRESSES = bytes(range(12))
IPV4 = b"\x08\x00E\x00"


@pytest.mark.long
def test_a_board_boots_in_its_vlan_and_its_payload_stays_there(
    built: Callable[[str], Built], server: BootServer, boot: Boot, folder: Path
) -> None:
    """The kernel's own 802.1Q; the switch takes no untagged frame, so nothing else can lead to the server."""
    server.start()
    publish(server, built("amd64"))
    port = free_port()
    guest = make_guest(built("amd64"), "vlan", folder, Wiring(servers=(server_url(server),)), (f"bootpilot.vlan={VLAN}",))
    with vlan_switch(folder, VLAN) as switch:
        net = SwitchedNet(switch.trunk, switch.access, UserNet(port))
        with boot(replace(guest, nics=(Nic(guest.identity.mac, net),))) as (_, verdict):
            check_page(port, guest, verdict)
            assert json.loads(fetch(port, "/status.json"))["interface"].endswith(f".{VLAN}")
            wait_for_events(server, "handover", "payload-up")


def test_the_switch_takes_its_own_vlan_only() -> None:
    untagged = ADDRESSES + IPV4
    assert take_tag(add_tag(untagged, VLAN), VLAN) == untagged
    assert add_tag(untagged, VLAN) == ADDRESSES + b"\x81\x00\x00\x2a" + IPV4
    with_priority = ADDRESSES + b"\x81\x00\xe0\x2a" + IPV4
    assert take_tag(with_priority, VLAN) == untagged
    for foreign in (untagged, add_tag(untagged, VLAN + 1), add_tag(untagged, 0), ADDRESSES + b"\x81\x00", b""):
        assert take_tag(foreign, VLAN) is None


@pytest.mark.long
@pytest.mark.parametrize("late_s", [LATE_S, VERY_LATE_S])
def test_a_usb_adapter_plugged_in_late_gets_its_driver_and_carries_the_boot(
    late_s: float, built: Callable[[str], Built], server: BootServer, boot: Boot, folder: Path
) -> None:
    """As on boards whose only Ethernet is behind a USB hub that takes its time."""
    server.start()
    publish(server, built("amd64"))
    port = free_port()
    guest = make_guest(built("amd64"), "late usb", folder, Wiring(servers=(server_url(server),)))
    late = user_netdev(UserNet(port), "late")
    guest = replace(guest, nics=(), extra=("-device", "qemu-xhci,id=usb", "-netdev", late))

    def plug_in(running: RunningGuest) -> None:
        running.wait_for_line(r"no Ethernet interface found yet", DEADLINE_S["amd64"])
        time.sleep(late_s)
        assert not any("usbnet" in line.text or "cdc_ether" in line.text for line in running.lines)
        running.qmp.command("device_add", driver="usb-net", bus="usb.0", netdev="late", id="adapter", mac=guest.identity.mac)

    with boot(guest, plug_in) as (_, verdict):
        check_page(port, guest, verdict)
        wait_for_events(server, "handover", "payload-up")
