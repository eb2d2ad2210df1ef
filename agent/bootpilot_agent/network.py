"""Brings up every Ethernet interface at once and keeps them up, those that appear late too.

Owns the interfaces, the DHCP clients, the routes and /etc/resolv.conf. Knows nothing of boot servers: it offers candidates,
and the caller finds the one over which a server answers.
"""

import ipaddress
import select
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bootpilot_agent import ethernet, links
from bootpilot_agent.addresses import GivenMac
from bootpilot_agent.console import say
from bootpilot_agent.dhcp_client import HOOK, EventFolder
from bootpilot_agent.drivers import Coldplug
from bootpilot_agent.errors import CommandError, NetworkError
from bootpilot_agent.evidence import Evidence
from bootpilot_agent.port import Candidate, Port, Surroundings
from bootpilot_agent.settings import Settings

__all__ = ["Candidate", "Network"]

CHOSEN_METRIC = 1
# Work that no news announces (an interface that failed, a DHCP client that died) is looked at this often.
LONGEST_WAIT_S = 5.0
# linux/rtnetlink.h: RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR.
NETLINK_GROUPS = 0x1 | 0x10 | 0x100
# With two interfaces in one network the kernel answers ARP for either address on both; an answer would then come in where the
# socket that waits for it is not bound (Documentation/networking/ip-sysctl.rst).
SYSCTLS = {"proc/sys/net/ipv4/conf/all/arp_ignore": "1", "proc/sys/net/ipv4/conf/all/arp_announce": "2"}


class Network:
    """All interfaces of the board. One thread calls everything but `candidates()`.

    `client_ids`: by MAC, what a loader before this program sent in option 61, so that its address stays.
    """

    def __init__(
        self,
        arch: str,
        *,
        coldplug: Coldplug | None = None,
        root: Path = Path("/"),
        state: Path = Path("/run/bootpilot/dhcp"),
        hook: Path = HOOK,
        resolv_conf: Path = Path("/etc/resolv.conf"),
        client_ids: Mapping[str, bytes] | None = None,
    ) -> None:
        self._arch = arch
        self._coldplug = coldplug
        self._root = root
        self._hook = hook
        self._resolv_conf = resolv_conf
        self._client_ids = client_ids or {}
        self._events = EventFolder(state)
        self._news = _open_netlink()
        self._ports: dict[str, Port] = {}
        self._indexes: dict[str, list[int]] = {}  # of all adapters that were ever here
        self._shared: Surroundings | None = None
        self._chosen: Candidate | None = None
        self._candidates: tuple[Candidate, ...] = ()

    def start(self, settings: Settings, evidence: Sequence[Evidence]) -> None:
        """Every Ethernet interface up, carrier or not. Returns at once; DHCP goes on in the background."""
        for path, value in SYSCTLS.items():
            with suppress(OSError):
                (self._root / path).write_text(value)
        self._shared = Surroundings(
            self._arch, settings, tuple(evidence), self._events, self._hook, self._root, self._client_ids
        )
        self._find_ports()
        self._refresh()

    def poll(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` for news (DHCP, carrier, addresses, a new interface, a new device) and act on it.

        True if the candidates changed. It may return earlier without any change. New devices get their drivers here too, so
        the caller needs no loop of its own for them.
        """
        sources = [source.fileno() for source in (self._events, self._news, self._coldplug) if source is not None]
        select.select(sources, [], [], min(timeout_s, LONGEST_WAIT_S))
        self._events.drain()
        _drain(self._news)
        if self._coldplug:
            self._coldplug.poll()
        self._find_ports()
        return self._refresh()

    def candidates(self) -> tuple[Candidate, ...]:
        """What can be tried now, in the order in which it came up."""
        return self._candidates

    def use(self, candidate: Candidate) -> None:
        """Its routes win over all others, its name servers go into /etc/resolv.conf. Raises NetworkError."""
        self._chosen = candidate
        try:
            self._prefer(candidate)
            lines = [f"nameserver {server}\n" for server in candidate.lease.dns]
            self._resolv_conf.write_text("".join(lines) + "options timeout:2 attempts:2\n")
        except (CommandError, OSError) as error:
            raise NetworkError(f"{candidate.lease.interface}: routes or name servers cannot be set: {error}") from error

    def describe(self) -> list[str]:
        """One line per interface for the console: driver, MAC, cable, address or what it waits for."""
        lines = [port.describe() for port in self._ports.values()]
        wanted = self._shared.settings.interface if self._shared else ""
        if not lines:
            there = ", ".join(ethernet.ethernet_names(self._root)) or "none"
            lines.append(f"no interface {wanted}; present: {there}" if wanted else "no Ethernet interface found yet")
        return lines

    def given_macs(self) -> tuple[GivenMac, ...]:
        """The MACs that are not the interfaces' own: the next kernel knows them only if it is told."""
        return tuple(port.given_mac for port in self._ports.values() if port.given_mac)

    def down(self) -> None:
        """Before the jump: DHCP clients ended without a release, addresses gone, links down. Never raises.

        If there is no jump after all, `start()` begins anew.
        """
        for port in self._ports.values():
            port.down()
        self._ports.clear()
        self._shared = None
        self._candidates = ()
        self._chosen = None

    def close(self) -> None:
        """Give the sockets back; for callers that make more than one Network."""
        self._events.close()
        self._news.close()

    def _find_ports(self) -> None:
        if self._shared is None:
            return
        present = [name for name in ethernet.ethernet_names(self._root) if self._is_wanted(name)]
        for name in [known for known in self._ports if known not in present]:
            say(f"{name}: the interface has gone")
            self._ports.pop(name).drop()
        for name in present:
            if name not in self._ports:
                self._ports[name] = Port(name, self._index_of(name), self._shared)
                self._ports[name].start()

    def _index_of(self, name: str) -> int:
        """The number of an adapter; one that was unplugged and comes back has the number, and so the client-id, from before."""
        taken = {port.index for port in self._ports.values()}
        known = self._indexes.setdefault(ethernet.lasting_name(name, self._root), [])
        free = [index for index in known if index not in taken]
        if not free:
            free = [sum(map(len, self._indexes.values()))]
            known += free
        return free[0]

    def _is_wanted(self, name: str) -> bool:
        wanted = self._shared.settings.interface if self._shared else ""
        if not wanted or name == wanted or name in self._ports:
            return True
        return ethernet.read_nic(name, self._root).mac == wanted

    def _refresh(self) -> bool:
        for port in self._ports.values():
            port.refresh(searching=self._chosen is None)
        now = [candidate for port in self._ports.values() for candidate in port.candidates]
        before = self._candidates
        older = [candidate for candidate in before if candidate in now]
        self._candidates = (*older, *(candidate for candidate in now if candidate not in older))
        self._keep_preference()
        return self._candidates != before

    def _keep_preference(self) -> None:
        """After a renewal with another address or router, the interface in use stays the one in use."""
        chosen = self._chosen
        if chosen is None or chosen in self._candidates:
            return
        for candidate in self._candidates:
            if (candidate.lease.interface, candidate.lease.method) == (chosen.lease.interface, chosen.lease.method):
                with suppress(NetworkError):
                    self.use(candidate)
                return

    def _prefer(self, candidate: Candidate) -> None:
        lease = candidate.lease
        for other in self._candidates:
            if other.lease.interface != lease.interface and other.lease.gateway:
                links.drop_default_route(other.lease.interface, other.lease.gateway, CHOSEN_METRIC)
        if lease.gateway:
            links.set_default_route(lease.interface, lease.address, lease.gateway, CHOSEN_METRIC)
        rivals = [other.lease.interface for other in self._candidates if _same_subnet(lease.address, other.lease.address)]
        for interface in dict.fromkeys(rivals):
            if interface != lease.interface:
                address = next(other.lease.address for other in self._candidates if other.lease.interface == interface)
                links.set_subnet_metric(interface, address, self._metric(interface))
        if any(interface != lease.interface for interface in rivals):
            links.set_subnet_metric(lease.interface, lease.address, 0)

    def _metric(self, interface: str) -> int:
        return next(port.metric for port in self._ports.values() if port.interface == interface)


def _same_subnet(one: str, other: str) -> bool:
    first, second = ipaddress.ip_interface(one), ipaddress.ip_interface(other)
    return first.version == second.version == 4 and first.network == second.network


def _open_netlink() -> socket.socket:
    """Only wakes: what it says is not read, because /sys and netifaces tell the state as it is now."""
    news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
    news.bind((0, NETLINK_GROUPS))
    return news


def _drain(news: socket.socket) -> None:
    while True:
        try:
            news.recv(65536)
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: more news than fits; something has changed, that is enough
            continue
