"""The recorded network, as it is built again: addresses, cables, DHCP servers, names."""

import json

import pytest

from bootpilot_agent.fields import Json
from bootpilot_agent.recorded_http import Body, HttpLine
from bootpilot_agent.recording_lines import DhcpLine, FileKind, FileLine
from scripts.replaying.errors import ReplayError
from scripts.replaying.recorded_leases import leases_that_end
from scripts.replaying.tape_reading import read_tape
from scripts.replaying.wiring import Wire, Wiring, wire_up
from tests.replay.test_recordings import packed

MACS = ("52:54:00:00:00:01", "52:54:00:00:00:02")
NICS: list[Json] = [{"name": f"eth{number}", "mac": mac, "carrier": number == 0} for number, mac in enumerate(MACS)]


def asked(interface: str, url: str = "http://192.0.2.1:8080/v1/", body: str = "{}") -> HttpLine:
    return HttpLine(1, interface, "POST" if url.endswith("boot") else "GET", url, {}, Body(len(body), body.encode()), 200)


def bound(interface: str, address: str, **more: str) -> DhcpLine:
    values = {"event": "bound", "ip": address, "subnet": "255.255.255.0", "serverid": "10.1.0.1", "lease": "3600", **more}
    return DhcpLine(interface, "".join(f"{name}={value}\0" for name, value in values.items()))


def report(method: str = "dhcp", address: str = "10.1.0.5/24") -> HttpLine:
    lease = {"interface": "eth0", "method": method, "address": address, "gateway": "", "dns": [], "client_id": ""}
    return asked("eth0", "http://192.0.2.1:8080/v1/boot", json.dumps({"nics": NICS, "lease": lease}))


def wired(*lines: HttpLine | DhcpLine | FileLine) -> Wiring:
    return wire_up(read_tape(packed(*lines)))


def test_a_lease_is_given_again_by_a_server_of_the_recorded_address() -> None:
    found = wired(bound("eth0", "10.1.0.78", router="10.1.0.254", mtu="1400", opt224="68656c6c6f", dns="10.9.9.9"), report())
    (offer,) = found.offers
    assert (str(offer.ours), offer.host, offer.at_s, offer.only) == ("10.1.0.1/24", 78, 0.0, "")
    assert offer.options == {
        1: b"\xff\xff\xff\0",
        3: b"\x0a\x01\0\xfe",
        6: b"\x0a\x09\x09\x09",
        26: (1400).to_bytes(2, "big"),
        51: (3600).to_bytes(4, "big"),
        224: b"hello",
    }
    assert found.addresses == {"lan0": "10.1.0.1/24"}
    assert found.extra_addresses == ("192.0.2.1", "10.9.9.9")
    assert found.wires == (Wire("eth0", MACS[0], "lan0"), Wire("eth1", MACS[1], "lan1", cable=False))
    assert found.interfaces == {"10.1.0.78": "eth0"}


def test_two_adapters_in_one_network_are_on_one_lan_and_keep_their_addresses() -> None:
    found = wired(bound("eth0", "10.1.0.78"), bound("eth1", "10.1.0.79"), report())
    assert {wire.lan for wire in found.wires} == {"lan0"}
    assert [(offer.host, offer.only) for offer in found.offers] == [(78, MACS[0]), (79, MACS[1])]
    apart = wired(bound("eth0", "10.1.0.78"), bound("eth1", "10.2.0.79", serverid="10.2.0.1"), report())
    assert [wire.lan for wire in apart.wires] == ["lan0", "lan1"]
    assert apart.addresses == {"lan0": "10.1.0.1/24", "lan1": "10.2.0.1/24"}


def test_a_dhcp_server_whose_offer_was_not_taken_is_there_too_and_answers_later() -> None:
    named = {"event": "offer", "serverid": "10.1.0.2", "opt224": b"http://10.1.0.3".hex()}
    other = bound("eth0", "10.1.0.90", **named)
    found = wired(bound("eth0", "10.1.0.78"), other, other, report())
    first, second = found.offers
    assert (str(first.ours), first.delay_s, first.options.get(224)) == ("10.1.0.1/24", 0.0, None)
    assert (str(second.ours), second.host, second.delay_s, second.options[224]) == ("10.1.0.2/24", 90, 1.0, b"http://10.1.0.3")
    assert found.addresses == {"lan0": "10.1.0.1/24"}


def test_a_server_out_of_reach_of_the_lease_is_replaced_by_one_beside_it() -> None:
    found = wired(bound("eth0", "10.1.0.1", serverid="172.16.0.1"), report())
    assert str(found.offers[0].ours) == "10.1.0.2/24"


def test_a_static_address_gets_a_neighbour_and_no_dhcp_server() -> None:
    found = wired(report("static", "198.51.100.1/24"))
    assert (found.offers, found.addresses) == ((), {"lan0": "198.51.100.2/24"})


def test_names_are_told_from_addresses() -> None:
    found = wired(asked("eth0", "https://boot.example/v1/"), report())
    assert found.names == ("boot.example",)
    assert found.origins == ("https://boot.example", "http://192.0.2.1:8080")


def test_what_came_late_comes_late() -> None:
    early = FileLine("sys/class/net", FileKind.FOLDER, names=("eth0",))
    found = wired(early, bound("eth0", "10.1.0.78"), report())
    assert [wire.at_s for wire in found.wires] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((bound("eth0.5", "10.1.0.78"),), "eth0.5 is a VLAN"),
        ((asked("eth0", "http://[2001:db8::1]/v1/"),), "went over IPv6"),
        ((report("slaac", "2001:db8::5/64"),), "went over IPv6"),
        ((report("static", "192.0.2.5/32"),), "no other host in the network of 192.0.2.5/32"),
    ],
)
def test_what_cannot_be_built_is_said(lines: tuple[HttpLine | DhcpLine, ...], words: str) -> None:
    with pytest.raises(ReplayError, match=words):
        wired(*lines)


def test_a_lease_that_did_not_last_is_told() -> None:
    def told(*lines: DhcpLine) -> list[str]:
        return list(leases_that_end(read_tape(packed(*lines, report()))))

    lease, other = bound("eth0", "10.1.0.78"), bound("eth0", "10.1.0.90", event="offer")
    lost = ["eth0 lost 10.1.0.78/24 after 0 s; here it kept its first lease"]
    assert told(DhcpLine("eth0", "event=deconfig\0"), lease, bound("eth0", "10.1.0.78", event="renew"), other) == []
    assert told(lease, DhcpLine("eth0", "event=deconfig\0"), bound("eth0", "10.1.0.79")) == lost
    assert told(lease, bound("eth0", "10.1.0.79")) == lost
