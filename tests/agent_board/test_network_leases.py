"""Leases, from real DHCP servers (dnsmasq) over real cables (veth) with the real client (busybox udhcpc)."""

import os
import signal
from pathlib import Path

from bootpilot_agent.addresses import GivenMac
from bootpilot_agent.raw_settings import CARD
from bootpilot_agent.settings import Settings
from tests.agent_board.board import EVENTS, RESOLV_CONF, said, start, wait_for, wait_until
from tests.agent_board.lan import Lan, pid_of, routes
from tests.agent_board.own_network import in_own_network

URL = "http://10.1.0.1:8080"


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
def test_dhcp_is_not_asked_for_a_server_that_is_named_already() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    lan.serve_dhcp("10.1.0.50,10.1.0.59", f"--dhcp-option=224,{URL}/")
    candidate = wait_for(start(Settings(servers=("http://10.1.0.9",), server_source=CARD)))
    assert candidate.server_urls == ()
    requested = [line.partition("requested options:")[2] for line in lan.dhcp_log().splitlines() if "requested options" in line]
    assert requested
    assert not any(option in line for line in requested for option in ("224", "bootfile", "tftp"))


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
    network = start()
    mac = wait_for(network).mac
    assert network.given_macs() == (GivenMac("eth0", mac, "", derived=True),)
    assert mac.startswith("02:")
    assert mac != random
    assert Path("/sys/class/net/eth0/address").read_text().strip() == mac
    assert "DHCPACK(switch) 10.1.0.5" in lan.dhcp_log()
    assert mac in lan.dhcp_log()


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
    wait_until(network, lambda: (EVENTS / "eth0.taken").exists() and b"leasefail" in taken("eth0"))
    assert network.candidates() == ()
    lan.serve_dhcp("10.1.0.50,10.1.0.59")
    assert wait_for(network).lease.address.startswith("10.1.0.5")


def taken(interface: str) -> bytes:
    return (EVENTS / f"{interface}.taken").read_bytes()


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
def test_a_dhcp_client_that_dies_is_started_again() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    network = start()
    wait_until(network, (EVENTS / "eth0.taken").exists)  # its first event
    os.kill(pid_of("udhcpc"), signal.SIGKILL)
    lan.serve_dhcp("10.1.0.50,10.1.0.59")
    assert wait_for(network).lease.address.startswith("10.1.0.5")
