"""One Ethernet interface on its way into the network: MAC, VLAN, DHCP or static address, IPv6 by SLAAC.

A port never gives up and never raises: what goes wrong is said on the console, kept in `trouble`, and tried again.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bootpilot_agent import addresses, ethernet, links
from bootpilot_agent.console import say
from bootpilot_agent.dhcp import DhcpError, DhcpOffer, parse_event, parse_offer
from bootpilot_agent.dhcp_client import HOOK, DhcpClient, EventFolder, udhcpc_argv
from bootpilot_agent.dhcp_others import OtherServers
from bootpilot_agent.dhcp_packet import Question
from bootpilot_agent.errors import CommandError
from bootpilot_agent.evidence import Evidence
from bootpilot_agent.plan import Lease
from bootpilot_agent.settings import Settings
from bootpilot_agent.steady_mac import settle_mac

RETRY_S = 10.0
# Each port's default route has a metric of its own, so that a socket bound to the interface finds it.
FIRST_METRIC = 1000
IFNAMSIZ = 15


@dataclass(frozen=True)
class Candidate:
    """One way into the network. `lease.address` has its prefix length; bind probes to `lease.interface` (SO_BINDTODEVICE)."""

    lease: Lease
    mac: str
    server_urls: tuple[str, ...]  # from DHCP options 224 and 67, that of the lease first; only if Settings name no server


@dataclass(frozen=True)
class Surroundings:
    """What all ports share. `client_ids` are those that a loader before this program used, by MAC."""

    arch: str
    settings: Settings
    evidence: tuple[Evidence, ...]
    events: EventFolder
    hook: Path = HOOK
    root: Path = Path("/")
    client_ids: Mapping[str, bytes] = field(default_factory=dict)


class Port:
    """`start()` once, then `refresh()` after every piece of news; `candidates` is what it has to offer."""

    def __init__(self, device: str, index: int, shared: Surroundings) -> None:
        self.device = device
        self.index = index
        self.interface = _vlan_name(device, shared.settings.vlan, index)
        self.candidates: tuple[Candidate, ...] = ()
        self.offer: DhcpOffer | None = None
        self.trouble = ""
        self.given_mac: addresses.GivenMac | None = None
        self._shared = shared
        self._mac = ""
        self._client_id = b""
        self._client: DhcpClient | None = None
        self._others: OtherServers | None = None
        self._carrier: bool | None = None
        self._is_up = False
        self._tried_s = 0.0

    @property
    def metric(self) -> int:
        return FIRST_METRIC + self.index

    def start(self) -> None:
        """Bring the interface up, whether a cable is in or not, and ask for an address. Returns at once."""
        self._tried_s = time.monotonic()
        try:
            self._bring_up()
            self.trouble = ""
        except CommandError as error:
            self._complain(error.message)

    def _bring_up(self) -> None:
        settings = self._shared.settings
        self.given_mac = settle_mac(self.device, self._shared.evidence, self._shared.root) or self.given_mac
        if settings.vlan is None:
            links.set_up(self.device)
        else:
            self._bring_up_vlan(settings.vlan)
        self._mac = ethernet.read_nic(self.interface, self._shared.root).mac
        if settings.address:
            links.add_address(self.interface, settings.address)
            if settings.gateway:
                links.set_default_route(self.interface, settings.address, settings.gateway, self.metric)
        else:
            used = self._shared.client_ids.get(self._mac)
            self._client_id = used or addresses.client_id(self._shared.evidence, self.index, self._mac)
            vendor_class = settings.vendor_class or addresses.vendor_class(self._shared.arch)
            ask_server = not settings.servers
            argv = partial(udhcpc_argv, self.interface, self._shared.hook, self._client_id, vendor_class, ask_server)
            if ask_server:
                self._others = self._others or OtherServers(
                    self.interface, partial(self._question, vendor_class), self._shared.events
                )
            self._client = self._client or DhcpClient(argv, self._shared.events)
            self._client.keep_running()
        self._is_up = True

    def _question(self, vendor_class: str, number: int) -> Question:
        mac = bytes.fromhex(self._mac.replace(":", ""))
        return Question(number, mac, self._client_id, vendor_class, addresses.user_class())

    def _bring_up_vlan(self, vlan: int) -> None:
        """The device only carries its tagged interface: it has no address, whether or not the VLAN can be made."""
        links.drop_ipv6(self.device)
        links.set_up(self.device)
        if not (self._shared.root / "sys/class/net" / self.interface).exists():
            try:
                links.add_vlan(self.device, self.interface, vlan)
            except CommandError as error:
                message = f"VLAN {vlan} cannot be made, and nothing is done outside of it: {error.message}"
                raise CommandError(message, error.hint) from error
        links.set_up(self.interface)

    def refresh(self, *, searching: bool = True) -> bool:
        """Look at carrier, DHCP and IPv6 and act; True if the candidates changed. `searching`: for a boot server, still."""
        if not self._is_up:
            if time.monotonic() - self._tried_s >= RETRY_S:
                self.start()
            return False
        try:
            self._follow_carrier()
            self._follow_dhcp()
            if self._others is not None and self.offer is not None:
                self._others.follow(self.offer.server_urls, searching=searching)
        except CommandError as error:
            self._complain(error.message)
        before = self.candidates
        self.candidates = tuple(self._find_candidates())
        return self.candidates != before

    def _follow_carrier(self) -> None:
        before, self._carrier = self._carrier, ethernet.read_nic(self.interface, self._shared.root).carrier
        if before is None or self._carrier is None or self._carrier == before:
            return
        say(f"{self.interface}: cable {'connected' if self._carrier else 'disconnected'}")
        if self._carrier and self._client is not None:
            self._client.ask_now(has_lease=self.offer is not None)

    def _follow_dhcp(self) -> None:
        if self._client is None:
            return
        dump = self._shared.events.take(self.interface)
        if dump is not None:
            self._hear(dump)
        self._client.keep_running(has_lease=self.offer is not None)

    def _hear(self, dump: bytes) -> None:
        try:
            event = parse_event(dump)
            offer = parse_offer(event) if event.has_lease else None
        except DhcpError as error:
            say(f"{self.interface}: refused what a DHCP server offered: {error.message}")
            offer = None
            self._forget_lease()
        if offer == self.offer:
            return
        try:
            self._apply(offer)
        except CommandError as error:
            self._complain(error.message)
            self._forget_lease()

    def _forget_lease(self) -> None:
        # udhcpc believes in its lease; started anew, after a pause, it asks again and may hear another server.
        if self._client is not None:
            self._client.kill()

    def _apply(self, offer: DhcpOffer | None) -> None:
        before, self.offer = self.offer, None
        if offer is None or (before is not None and before.address != offer.address):
            links.flush(self.interface)
            if self._others is not None:
                self._others.forget()
        if offer is None:
            if before is not None:
                say(f"{self.interface}: lost the address {before.address}")
            return
        links.add_address(self.interface, offer.address)
        if offer.mtu is not None:
            with suppress(CommandError):  # more than the hardware takes
                links.set_mtu(self.interface, offer.mtu)
        if before is not None and before.gateway and before.gateway != offer.gateway:
            links.drop_default_route(self.interface, before.gateway, self.metric)
        if offer.gateway:
            links.set_default_route(self.interface, offer.address, offer.gateway, self.metric)
        self.offer = offer
        if before is None or before.address != offer.address:
            say(_lease_line(self.interface, offer))
        for note in offer.notes if before is None or before.notes != offer.notes else ():
            say(f"{self.interface}: {note}")

    def _find_candidates(self) -> list[Candidate]:
        if self._carrier is False:
            return []
        settings, found = self._shared.settings, list[Candidate]()
        ipv6 = links.read_global_ipv6(self.interface, self._shared.root)
        static = settings.address
        if offer := self.offer:
            urls = (*offer.server_urls, *(self._others.urls if self._others else ()))
            found.append(self._candidate("dhcp", offer.address, offer.gateway, offer.dns, urls))
        elif static and (":" not in static or static in ipv6):
            found.append(self._candidate("static", static, settings.gateway))
        found += [self._candidate("slaac", address) for address in ipv6 if address != static]
        return found

    def _candidate(
        self, method: str, address: str, gateway: str = "", dns: Sequence[str] = (), server_urls: tuple[str, ...] = ()
    ) -> Candidate:
        client_id = self._client_id.hex() if method == "dhcp" else ""
        lease = Lease(self.interface, method, address, gateway, self._shared.settings.dns or tuple(dns), client_id)
        return Candidate(lease, self._mac, server_urls)

    def describe(self) -> str:
        """One line for the console."""
        nic = ethernet.read_nic(self.device, self._shared.root)
        cable = "cable connected" if nic.carrier else "no cable"
        speed = f" at {nic.speed_mbps} Mbit/s" if nic.carrier and nic.speed_mbps else ""
        state = ", ".join(f"{candidate.lease.address} ({candidate.lease.method})" for candidate in self.candidates)
        waits = "" if state else (self.trouble or "waits for DHCP")
        return f"{self.interface}: {nic.driver or 'virtual'}, MAC {nic.mac}, {cable}{speed}, {state or waits}"

    def drop(self) -> None:
        """The interface has gone."""
        if self._client is not None:
            self._client.kill()
        if self._others is not None:
            self._others.end()
        self.candidates = ()

    def down(self) -> None:
        """End DHCP without a release, take the addresses away, link down. Never raises."""
        self.drop()
        self._is_up = False
        for interface in dict.fromkeys((self.interface, self.device)):
            for family in ("-4", "-6"):
                with suppress(CommandError):
                    links.flush(interface, family)
            with suppress(CommandError):
                links.set_down(interface)

    def _complain(self, message: str) -> None:
        if message != self.trouble:
            say(f"{self.interface}: {message}")
        self.trouble = message


def _vlan_name(device: str, vlan: int | None, index: int) -> str:
    if vlan is None:
        return device
    name = f"{device}.{vlan}"
    return name if len(name) <= IFNAMSIZ else f"vlan{index}.{vlan}"


def _lease_line(interface: str, offer: DhcpOffer) -> str:
    router = f", router {offer.gateway}" if offer.gateway else ", no router"
    return f"{interface}: {offer.address} from DHCP server {offer.server or '?'}{router}, for {offer.lease_s} s"
