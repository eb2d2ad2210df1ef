"""The other end of the board's cables: a switch for each LAN, DHCP and name servers behind it. Runs in the namespaces."""

import ipaddress
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

from bootpilot_agent.run import Process, run, spawn
from scripts.faults.bad_cable import BadCable, leave_sums_to_senders
from scripts.faults.dhcp_server import DNS, LEASE, ROUTER, SUBNET, DhcpServer, Manner
from scripts.scenarios.scenario import Adapter, Dhcp, Lan, Wear

FAR_AWAY = "203.0.113.1"
BOOT_URL = 224
COMMAND_S = 20.0
# dnsmasq gives no shorter leases (dnsmasq(8), --dhcp-range).
SHORTEST_DNSMASQ_LEASE_S = 120
NAME = "boot.example"


@dataclass
class Switches:
    """All LANs, as bridges of one namespace."""

    lans: dict[str, Lan]
    folder: Path
    _programs: dict[str, list[Process]] = field(default_factory=dict)
    _scripted: dict[str, list[DhcpServer]] = field(default_factory=dict)
    _cables: dict[str, BadCable] = field(default_factory=dict)

    def set_up(self) -> None:
        ip("link", "set", "lo", "up")
        ip("addr", "add", f"{FAR_AWAY}/32", "dev", "lo")
        for lan in self.lans.values():
            ip("link", "add", "name", lan.name, "type", "bridge")
            ip("addr", "add", lan.address, "dev", lan.name)
            ip("link", "set", lan.name, "up")

    def plug(self, adapter: Adapter, board: int) -> None:
        """A new adapter for the board whose first program has this process id."""
        port, wear = port_of(adapter), self.lans[adapter.lan].wear
        ip("link", "add", "name", port, "type", "veth", "peer", "name", adapter.name, "address", adapter.mac)
        if wear == Wear():
            ip("link", "set", port, "master", adapter.lan)
        else:
            self._wear_out(adapter, port, wear)
        ip("link", "set", adapter.name, "netns", str(board))
        if adapter.cable:
            ip("link", "set", port, "up")

    def _wear_out(self, adapter: Adapter, port: str, wear: Wear) -> None:
        """A bad cable between the board's port and the switch, which gets another pair of devices for it."""
        near, far = f"near-{adapter.name}", f"far-{adapter.name}"
        if worn := self._cables.pop(adapter.name, None):
            worn.close()
            ip("link", "del", near)
        ip("link", "add", "name", near, "type", "veth", "peer", "name", far)
        ip("link", "set", far, "master", adapter.lan)
        for device in (near, far, port, adapter.name):
            leave_sums_to_senders(device)
        for device in (near, far, port):
            ip("link", "set", device, "up")
        self._cables[adapter.name] = BadCable(port, near, wear, adapter.name)

    def set_cable(self, adapter: Adapter, *, plugged: bool) -> None:
        ip("link", "set", port_of(adapter), "up" if plugged else "down")

    def start_dhcp(self, dhcp: Dhcp, server_url: str) -> None:
        interface = ipaddress.IPv4Interface(self.lans[dhcp.lan].address)
        url = dhcp.server_url or server_url
        is_late, is_short = dhcp.delay_s or dhcp.offer_delay_s, dhcp.lease_s < SHORTEST_DNSMASQ_LEASE_S
        if is_late or is_short or dhcp.naks or dhcp.options or dhcp.scripted:
            options = scripted_options(dhcp, interface, url)
            manner = Manner(interface, dhcp.first_host, options, dhcp.delay_s, dhcp.naks, dhcp.offer_delay_s)
            self._scripted.setdefault(dhcp.lan, []).append(DhcpServer(dhcp.lan, manner))
            return
        self._start(dhcp.lan, "dnsmasq", *dnsmasq_words(dhcp, interface, url, self.folder))

    def stop_dhcp(self, lan: str) -> None:
        for program in self._programs.pop(lan, []):
            program.kill()
            program.wait()
        for server in self._scripted.pop(lan, []):
            server.close()

    def start_dns(self, address: str) -> None:
        self._start(
            "dns",
            "dnsmasq",
            "--no-daemon",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            f"--address=/{NAME}/{address}",
        )

    def _start(self, key: str, *argv: str) -> None:
        with (self.folder / f"{argv[0]}.log").open("ab") as log:
            program = spawn(argv, output=log.fileno())
        self._programs.setdefault(key, []).append(program)


def dnsmasq_words(dhcp: Dhcp, interface: ipaddress.IPv4Interface, url: str, folder: Path) -> list[str]:
    """The command line of a real DHCP server."""
    hosts = interface.network.network_address
    pool = f"{hosts + dhcp.first_host},{hosts + dhcp.first_host + 40},{dhcp.lease_s}"
    return [
        "--no-daemon", "--conf-file=/dev/null", "--port=0", "--no-resolv", "--no-hosts", "--no-ping", "--dhcp-authoritative",
        f"--interface={dhcp.lan}", "--bind-interfaces", f"--dhcp-leasefile={folder / f'{dhcp.lan}.leases'}", "--log-dhcp",
        f"--dhcp-range={pool}",
        f"--dhcp-option=option:router{f',{interface.ip}' if dhcp.router else ''}",
        f"--dhcp-option=option:dns-server{f',{interface.ip}' if dhcp.dns else ''}",
        *([f"--dhcp-option={BOOT_URL},{url}"] if dhcp.names_server else []),
    ]  # fmt: skip


def scripted_options(dhcp: Dhcp, interface: ipaddress.IPv4Interface, url: str) -> dict[int, bytes]:
    """What the scripted server says: the right options, unless the scenario has others."""
    return {
        SUBNET: interface.network.netmask.packed,
        LEASE: dhcp.lease_s.to_bytes(4, "big"),
        **({ROUTER: interface.ip.packed} if dhcp.router else {}),
        **({DNS: interface.ip.packed} if dhcp.dns else {}),
        **({BOOT_URL: url.encode()} if dhcp.names_server else {}),
        **{code: bytes.fromhex(value) for code, value in dhcp.options},
    }


def port_of(adapter: Adapter) -> str:
    """The switch's port for this adapter."""
    return f"port-{adapter.name}"


def ip(*words: str) -> None:
    """iproute2, not busybox's applet, which knows no network namespaces. Raises CommandError."""
    _run("ip", *words)


def end_process(number: int) -> None:
    """Kill a program of the board's."""
    os.kill(number, signal.SIGKILL)


def _run(*argv: str) -> None:
    run(argv, timeout_s=COMMAND_S)
