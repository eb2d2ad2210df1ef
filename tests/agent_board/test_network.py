"""Network, against real cables (veth), real DHCP servers (dnsmasq) and the real client (busybox udhcpc)."""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bootpilot_agent import console
from bootpilot_agent.errors import NetworkError
from bootpilot_agent.evidence import Evidence, EvidenceKind, Grade
from bootpilot_agent.network import Candidate, Network
from bootpilot_agent.resolver import resolve
from bootpilot_agent.settings import Settings
from tests.agent_board.lan import FAR_AWAY, FAR_AWAY_IPV6, IP, Lan, argv_of, pid_of, routes
from tests.agent_board.own_network import BIN, in_own_network

HOOK = Path(__file__).parents[2] / "initramfs/overlay/usr/lib/bootpilot/udhcpc"
EVIDENCE = (Evidence(EvidenceKind.DT_SERIAL, "02c000814a58bd80", "/serial-number", Grade.STRONG),)
RESOLV_CONF = Path("/run/resolv.conf")
PATIENCE_S = 60.0
URL = "http://10.1.0.1:8080"


def start(settings: Settings | None = None, evidence: tuple[Evidence, ...] = EVIDENCE) -> Network:
    network = Network("arm64", state=Path("/run/bootpilot/dhcp"), hook=HOOK, resolv_conf=RESOLV_CONF)
    network.start(settings or Settings(), evidence)
    return network


def wait_for(network: Network, wanted: Callable[[Candidate], bool] = lambda _: True) -> Candidate:
    """Poll until there is a candidate as wanted."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        for candidate in network.candidates():
            if wanted(candidate):
                return candidate
        network.poll(0.5)
    raise AssertionError(f"no such candidate; there are {network.candidates()}, {network.describe()}")


def wait_until(network: Network, wanted: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not wanted():
        assert time.monotonic() < end_s, network.describe()
        network.poll(0.5)


def on(interface: str) -> Callable[[Candidate], bool]:
    return lambda candidate: candidate.lease.interface == interface


def by(method: str) -> Callable[[Candidate], bool]:
    return lambda candidate: candidate.lease.method == method


def page(host: str, interface: str = "", port: int = 80) -> str:
    """What an HTTP server says, asked over one interface or as the routes lead."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        if interface:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        client.connect((host, port))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return client.makefile().read().rpartition("\n")[2]


def said() -> str:
    return console.transcript().decode()


@in_own_network
def test_a_lease_carries_address_router_name_servers_and_the_boot_server() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    lan.serve_dhcp("10.1.0.50,10.1.0.59", f"--dhcp-option=224,{URL}/", "--dhcp-option=6,10.1.0.1,10.1.0.2")
    candidate = wait_for(start())
    lease = candidate.lease
    assert lease.interface == "eth0"
    assert lease.method == "dhcp"
    assert lease.address.startswith("10.1.0.5")
    assert lease.address.endswith("/24")
    assert lease.gateway == "10.1.0.1"
    assert lease.dns == ("10.1.0.1", "10.1.0.2")
    assert lease.client_id == (b"\0" + b"02c000814a58bd80").hex()
    assert candidate.server_urls == (URL,)


@in_own_network
def test_the_dhcp_server_is_told_who_asks() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    lan.serve_dhcp("10.1.0.50,10.1.0.59", "--dhcp-host=id:00:30:32:63:30:30:30:38:31:34:61:35:38:62:64:38:30,10.1.0.55")
    lease = wait_for(start()).lease
    assert lease.address == "10.1.0.55/24"  # given by the client-id alone
    assert "vendor class: bootpilot:arm64" in lan.dhcp_log()
    assert "user class: bootpilot" in lan.dhcp_log()


@in_own_network
def test_a_url_in_option_67_names_the_boot_server() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    lan.serve_dhcp("10.1.0.50,10.1.0.59", f"--dhcp-boot={URL}")
    assert wait_for(start()).server_urls == (URL,)


@in_own_network
def test_a_boot_file_that_is_no_url_names_no_server() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    lan.serve_dhcp("10.1.0.50,10.1.0.59", "--dhcp-boot=pxelinux.0,tftp.example,10.1.0.9")
    assert wait_for(start()).server_urls == ()


@in_own_network
def test_a_random_mac_becomes_the_same_one_at_every_boot() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")  # veth interfaces are born with a random MAC
    lan.serve_dhcp("10.1.0.50,10.1.0.59")
    random = Path("/sys/class/net/eth0/address").read_text().strip()
    mac = wait_for(start()).mac
    assert mac.startswith("02:")
    assert mac != random
    assert Path("/sys/class/net/eth0/address").read_text().strip() == mac
    assert "DHCPACK(switch) 10.1.0.5" in lan.dhcp_log()
    assert mac in lan.dhcp_log()


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
def test_an_interface_without_a_cable_joins_when_it_is_plugged_in() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.unplug(port := lan.plug("eth0"))
    lan.serve_dhcp("10.1.0.50,10.1.0.59")
    network = start()
    for _ in range(3):
        network.poll(0.2)
    assert "no cable" in network.describe()[0]
    lan.replug(port)
    assert wait_for(network).lease.address.startswith("10.1.0.5")


@in_own_network
def test_a_dhcp_server_that_starts_late_is_still_heard() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    network = start()
    # Past the first round of questions: the client is in its pause.
    wait_until(network, lambda: Path("/run/bootpilot/dhcp/eth0.taken").exists() and b"leasefail" in taken("eth0"))
    assert network.candidates() == ()
    lan.serve_dhcp("10.1.0.50,10.1.0.59")
    assert wait_for(network).lease.address.startswith("10.1.0.5")


def taken(interface: str) -> bytes:
    return Path(f"/run/bootpilot/dhcp/{interface}.taken").read_bytes()


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
def test_a_cable_moved_into_another_network_gives_another_address() -> None:
    lan = Lan("lan", "10.1.0.1/16")
    port = lan.plug("eth0")
    lan.serve_dhcp("10.1.0.50,10.1.0.59")
    network = start()
    network.use(wait_for(network))
    lan.serve_dhcp("10.1.7.50,10.1.7.59", "--dhcp-option=6,10.1.0.9")
    lan.leases.unlink()
    lan.serve_dhcp("10.1.7.50,10.1.7.59", "--dhcp-option=6,10.1.0.9")
    lan.unplug(port)
    wait_until(network, lambda: network.candidates() == ())
    lan.replug(port)
    lease = wait_for(network, lambda candidate: candidate.lease.address.startswith("10.1.7.5")).lease
    assert routes("-4", "-o", "addr", "show", "dev", "eth0").count("inet ") == 1
    assert lease.address in routes("-4", "-o", "addr", "show", "dev", "eth0")
    # What is in use follows: routes and name servers are those of the new lease.
    assert "nameserver 10.1.0.9" in RESOLV_CONF.read_text()
    assert "default via 10.1.0.1 dev eth0 metric 1" in routes("route", "show", "default")


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
def test_hostile_options_are_left_out_by_name_and_nothing_in_them_is_run() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    lan.serve_dhcp(
        "10.1.0.50,10.1.0.59",
        "--dhcp-option-force=3,192.0.2.99,10.1.0.1",
        "--dhcp-option-force=6,224.0.0.1,255.255.255.255,10.1.0.1",
        "--dhcp-option-force=12,$(touch /run/pwned)",
        "--dhcp-option-force=15,`touch /run/pwned`;touch /run/pwned",
        "--dhcp-option-force=17,' ; touch /run/pwned ; '",
        "--dhcp-option-force=26,68",
        "--dhcp-option-force=67,http://$(touch /run/pwned)/",
        "--dhcp-option-force=224," + "A" * 240,
    )
    lease = wait_for(start()).lease
    assert lease.gateway == "10.1.0.1"
    assert lease.dns == ("10.1.0.1",)
    assert not Path("/run/pwned").exists()
    assert Path("/sys/class/net/eth0/mtu").read_text().strip() == "1500"
    for left_out in ("router '192.0.2.99'", "name server '224.0.0.1'", "MTU '68'", "option 224 'AAA"):
        assert left_out in said()


@in_own_network
def test_a_sane_mtu_is_taken() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    lan.serve_dhcp("10.1.0.50,10.1.0.59", "--dhcp-option-force=26,1450")
    wait_for(start())
    assert Path("/sys/class/net/eth0/mtu").read_text().strip() == "1450"


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


@in_own_network
def test_a_dhcp_client_that_dies_is_started_again() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    network = start()
    wait_until(network, lambda: Path("/run/bootpilot/dhcp/eth0.taken").exists())  # its first event
    os.kill(pid_of("udhcpc"), signal.SIGKILL)
    lan.serve_dhcp("10.1.0.50,10.1.0.59")
    assert wait_for(network).lease.address.startswith("10.1.0.5")
