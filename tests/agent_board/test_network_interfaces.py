"""Several interfaces, late ones, dead ones, static addresses, VLAN and IPv6, over real cables (veth)."""

from pathlib import Path

import pytest

from bootpilot_agent.errors import NetworkError
from bootpilot_agent.resolver import resolve
from bootpilot_agent.settings import Settings
from tests.agent_board.board import EVIDENCE, RESOLV_CONF, by, on, page, start, wait_for, wait_until
from tests.agent_board.lan import FAR_AWAY, FAR_AWAY_IPV6, IP, Lan, argv_of, routes
from tests.agent_board.own_network import BIN, in_own_network


@in_own_network
def test_a_dead_first_interface_costs_nothing() -> None:
    dead, alive = Lan("dead", "10.1.0.1/24"), Lan("alive", "10.2.0.1/24")
    dead.plug("eth0")
    alive.plug("eth1")
    alive.serve_dhcp("10.2.0.50,10.2.0.59")
    network = start()
    assert wait_for(network).lease.interface == "eth1"
    assert [candidate.lease.interface for candidate in network.candidates()] == ["eth1"]


@in_own_network
def test_an_interface_that_appears_late_is_brought_up_too() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.serve_dhcp("10.1.0.50,10.1.0.59")
    network = start()
    assert network.describe() == ["no Ethernet interface found yet"]
    lan.plug("usb0")
    assert wait_for(network).lease.interface == "usb0"


@in_own_network
def test_an_interface_that_goes_takes_its_lease_with_it() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("usb0")
    lan.serve_dhcp("10.1.0.50,10.1.0.59")
    network = start()
    wait_for(network)
    lan.ip("link", "del", "port1")
    wait_until(network, lambda: network.candidates() == ())
    lan.plug("usb0")
    assert wait_for(network).lease.interface == "usb0"


@in_own_network
def test_an_adapter_that_comes_back_has_the_client_id_from_before() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.serve_dhcp("10.1.0.50,10.1.0.59")
    ports = {name: lan.plug(name) for name in ("usb0", "usb1")}
    network = start()
    before = {name: wait_for(network, on(name)).lease for name in ports}
    for name in ("usb0", "usb1"):
        lan.ip("link", "del", ports[name])
    wait_until(network, lambda: network.candidates() == ())
    for name in ("usb1", "usb0"):
        lan.plug(name)
        assert wait_for(network, on(name)).lease == before[name]
    lan.plug("usb2")
    assert wait_for(network, on("usb2")).lease.client_id == before["usb0"].client_id + b"-2".hex()


@in_own_network
def test_two_interfaces_on_one_network_have_a_lease_each_and_both_work() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    lan.plug("eth1")
    lan.serve_dhcp("10.1.0.50,10.1.0.59")
    lan.serve_http("hello")
    network = start()
    first, second = wait_for(network, on("eth0")), wait_for(network, on("eth1"))
    assert first.lease.address != second.lease.address
    assert second.lease.client_id == first.lease.client_id + b"-1".hex()
    for interface in ("eth0", "eth1"):
        assert page("10.1.0.1", interface) == "hello"
        assert page(FAR_AWAY, interface) == "hello"
    for candidate in (second, first):
        network.use(candidate)
        assert page("10.1.0.1") == page(FAR_AWAY) == "hello"
        assert f"dev {candidate.lease.interface} " in routes("route", "get", "10.1.0.1")
        assert f"dev {candidate.lease.interface} " in routes("route", "get", FAR_AWAY)


@in_own_network
def test_each_interface_can_be_tried_over_its_own_router_and_the_one_in_use_wins() -> None:
    one, two = Lan("one", "10.1.0.1/24"), Lan("two", "10.2.0.1/24")
    for number, lan in enumerate((one, two)):
        lan.plug(f"eth{number}")
        lan.serve_dhcp(f"{lan.host[:-1]}50,{lan.host[:-1]}59", f"--dhcp-option=6,{lan.host}")
        lan.serve_http(lan.name)
    network = start()
    candidates = {name: wait_for(network, on(name)) for name in ("eth0", "eth1")}
    assert page(FAR_AWAY, "eth0") == "one"
    assert page(FAR_AWAY, "eth1") == "two"
    for name, lan in (("eth1", two), ("eth0", one)):
        network.use(candidates[name])
        assert page(FAR_AWAY) == lan.name
        assert RESOLV_CONF.read_text().splitlines()[0] == f"nameserver {lan.host}"
    # The other one can still be tried.
    assert page(FAR_AWAY, "eth1") == "two"


@in_own_network
def test_a_static_address_needs_no_dhcp() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    lan.serve_http("hello")
    network = start(Settings(address="10.1.0.77/24", gateway="10.1.0.1", dns=("10.1.0.1",)))
    lease = wait_for(network).lease
    assert (lease.method, lease.address, lease.gateway, lease.dns) == ("static", "10.1.0.77/24", "10.1.0.1", ("10.1.0.1",))
    assert lease.client_id == ""
    assert page(FAR_AWAY, "eth0") == "hello"
    network.use(wait_for(network))
    assert page(FAR_AWAY) == "hello"


@in_own_network
def test_a_static_ipv6_address_is_offered_once_it_is_known_to_be_ours_alone() -> None:
    lan = Lan("lan", "2001:db8:1::1/64")
    lan.plug("eth0")
    lan.serve_http("hello")
    network = start(Settings(address="2001:db8:1::77/64", gateway="2001:db8:1::1"))
    lease = wait_for(network, by("static")).lease
    assert lease.address == "2001:db8:1::77/64"
    network.use(wait_for(network, by("static")))
    assert page(FAR_AWAY_IPV6) == "hello"


@in_own_network
def test_everything_takes_place_in_the_vlan_that_is_set() -> None:
    # Not every kernel that tests run on has 802.1Q, so macvlan stands in for it; the command for it must be the real one.
    stand_in_for_ip("link add link eth0 name eth0.42 type vlan id 42", "link add link eth0 name eth0.42 type macvlan")
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    lan.serve_dhcp("10.1.0.50,10.1.0.59")
    lan.serve_http("hello")
    network = start(Settings(vlan=42))
    lease = wait_for(network).lease
    assert lease.interface == "eth0.42"
    assert page(FAR_AWAY, "eth0.42") == "hello"
    assert argv_of("udhcpc")[3] == "eth0.42"
    network.down()
    assert "DOWN" in routes("-o", "link", "show", "dev", "eth0")


@in_own_network
def test_where_the_vlan_cannot_be_made_the_untagged_network_is_not_used() -> None:
    stand_in_for_ip("link add link eth0 name eth0.42 type vlan id 42", "link add eth0.42 type nothing")
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    lan.serve_dhcp("10.1.0.50,10.1.0.59")
    network = start(Settings(vlan=42))
    for _ in range(3):
        network.poll(0.2)
    assert network.candidates() == ()
    assert "VLAN 42 cannot be made, and nothing is done outside of it" in network.describe()[0]
    assert "UP" in routes("-o", "link", "show", "dev", "eth0")
    assert routes("-o", "addr", "show", "dev", "eth0") == ""  # not even fe80::, with which routes come by themselves


def stand_in_for_ip(wanted: str, done_instead: str) -> None:
    """From now on the board's `ip` does something else for one command line, and what busybox does for all others."""
    program = BIN / "ip"
    program.unlink()
    program.write_text(f'#!/bin/sh\n[ "$*" = "{wanted}" ] && exec {IP} {done_instead}\nexec busybox ip "$@"\n')
    program.chmod(0o755)


@in_own_network
def test_ipv6_comes_by_router_advertisement_and_a_server_given_by_literal_is_reached() -> None:
    lan = Lan("lan", "2001:db8:1::1/64")
    lan.plug("eth0")
    lan.serve_dhcp("2001:db8:1::,ra-only", "--enable-ra", "--ra-param=switch,5")
    lan.serve_http("hello")
    network = start()
    candidate = wait_for(network, by("slaac"))
    assert candidate.lease.address.startswith("2001:db8:1:")
    assert candidate.lease.address.endswith("/64")
    assert page("2001:db8:1::1", "eth0") == "hello"
    network.use(candidate)
    assert page("2001:db8:1::1") == "hello"


@in_own_network
def test_only_the_interface_that_is_set_is_used() -> None:
    one, two = Lan("one", "10.1.0.1/24"), Lan("two", "10.2.0.1/24")
    one.plug("eth0")
    two.plug("eth1")
    one.serve_dhcp("10.1.0.50,10.1.0.59")
    two.serve_dhcp("10.2.0.50,10.2.0.59")
    network = start(Settings(interface=Path("/sys/class/net/eth1/address").read_text().strip()))
    assert wait_for(network).lease.interface == "eth1"
    assert len(network.describe()) == 1
    assert "DOWN" in routes("-o", "link", "show", "dev", "eth0")


@in_own_network
def test_an_interface_that_is_set_but_missing_is_named() -> None:
    Lan("lan", "10.1.0.1/24").plug("eth0")
    assert start(Settings(interface="enp9s0")).describe() == ["no interface enp9s0; present: eth0"]


@in_own_network
def test_before_the_jump_everything_is_down_and_the_lease_is_kept() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    lan.serve_dhcp("10.1.0.50,10.1.0.59")
    network = start()
    lease = wait_for(network).lease
    network.down()
    assert routes("-o", "addr", "show", "dev", "eth0") == ""
    assert "DOWN" in routes("-o", "link", "show", "dev", "eth0")
    assert "DHCPRELEASE" not in lan.dhcp_log()
    assert lease.address.partition("/")[0] in lan.leases.read_text()
    network.poll(0.2)  # does not bring anything up again
    assert network.candidates() == ()
    # A jump that did not take place: the same address comes back.
    network.start(Settings(), EVIDENCE)
    assert wait_for(network).lease == lease


@in_own_network
def test_names_are_looked_up_over_the_interface_that_is_tried() -> None:
    one, two = Lan("one", "10.1.0.1/24"), Lan("two", "10.2.0.1/24")
    for number, lan in enumerate((one, two)):
        lan.plug(f"eth{number}")
        pool = f"{lan.host[:-1]}50,{lan.host[:-1]}59"
        lan.serve_dhcp(pool, f"--host-record=boot.example,{lan.host},fd00::{number}", "--local=/example/")
    network = start()
    for interface, addresses in (("eth0", ["10.1.0.1", "fd00::"]), ("eth1", ["10.2.0.1", "fd00::1"])):
        lease = wait_for(network, on(interface)).lease
        assert resolve("boot.example", lease.dns, interface, 20.0) == addresses
    with pytest.raises(NetworkError, match=r"nowhere\.example has no address over eth0: 10\.1\.0\.1 answers that"):
        resolve("nowhere.example", ("10.1.0.1",), "eth0", 20.0)
    with pytest.raises(NetworkError, match="does not answer"):
        resolve("boot.example", ("10.2.0.1",), "eth0", 1.0)
    with pytest.raises(NetworkError, match="no name server is known"):
        resolve("boot.example", (), "eth0", 1.0)


def test_an_address_is_its_own_answer() -> None:
    assert resolve("192.0.2.1", (), "eth0", 1.0) == ["192.0.2.1"]
    assert resolve("[2001:db8::1]", (), "eth0", 1.0) == ["2001:db8::1"]
