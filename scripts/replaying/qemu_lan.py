"""The recorded network as QEMU's user-mode network gives it: what the recorded lease said, and what it cannot. No I/O here."""

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bootpilot_agent.dhcp import NOT_TAKEN, parse_named_servers
from bootpilot_agent.recording_lines import DhcpLine
from scripts.lab.guest import UserNet
from scripts.replaying.breaks import Break, break_of
from scripts.replaying.errors import ReplayError
from scripts.replaying.recorded_leases import read_dump
from scripts.replaying.tape import Tape, as_object

LOOPBACK = "127.0.0.1"
PORTS = {"http": 80, "https": 443}
OF_A_SERVER = (Break.RESET, Break.CLOSED, Break.TLS)
IN_PROCESS = "the in-process runner needs no network"


@dataclass(frozen=True)
class Lease:
    """What a recorded DHCP server gave, as far as it can be given again. Empty texts stand for nothing."""

    address: ipaddress.IPv4Interface
    router: str
    dns: tuple[str, ...]
    url: str


@dataclass(frozen=True)
class Place:
    """Where a server is: `origin` as the board says it, `http://10.1.0.1:8080`."""

    origin: str
    host: str
    port: int
    is_https: bool


@dataclass(frozen=True)
class Cable:
    """What an interface is plugged into: `net` is None where nobody answers. `blind`: field of the report's lease -> why."""

    net: UserNet | None
    blind: dict[str, str] = field(default_factory=dict)


def cable_of(tape: Tape, interface: str) -> Cable:
    """The network at this interface of the recorded board. Raises ReplayError."""
    lease = lease_of(tape, interface)
    if lease is None:
        return Cable(None)
    network = lease.address.network
    if network.num_addresses < 8:
        raise ReplayError(f"{interface} had {lease.address}: QEMU's user-mode network needs a larger one", IN_PROCESS)
    # Only this address answers in the board's own network; a router that is another one cannot be there, too.
    host = next((one for one in servers_of(tape) if _inside(one, network)), "") or _inside(lease.router, network)
    host = host or _free(network, {str(lease.address.ip), *lease.dns})
    dns = next((one for one in lease.dns if _inside(one, network) and one != host), "")
    given_dns = dns or _free(network, {str(lease.address.ip), host})
    blind = {}
    if host != lease.router:
        blind["lease.gateway"] = f"QEMU's user-mode network names its own host, {host}, as the router"
    if (given_dns,) != lease.dns:
        blind["lease.dns"] = f"QEMU's user-mode network names a name server of its own, {given_dns}"
    url = _named_url(tape, interface, lease.url)
    net = UserNet(None, url, str(network), host, given_dns, str(lease.address.ip), not _answered(tape, interface))
    return Cable(net, blind)


def _named_url(tape: Tape, interface: str, url: str) -> str:
    """What DHCP names as the boot server: QEMU has one DHCP server, which must say what two did. Raises ReplayError."""
    others = [url for dump in tape.dumps if dump.line.interface == interface for url in _not_taken(dump.line)]
    if url and others:
        raise ReplayError("two DHCP servers named two boot servers, and QEMU's user-mode network has but one", IN_PROCESS)
    return url or next(iter(others), "")


def _not_taken(line: DhcpLine) -> tuple[str, ...]:
    event, _ = read_dump(line)
    return parse_named_servers(event).urls if event is not None and event.name == NOT_TAKEN else ()


def lease_of(tape: Tape, interface: str) -> Lease | None:
    """The first lease that this interface got, by DHCP or, for the one that was used, by the settings."""
    for dump in tape.dumps:
        if dump.line.interface == interface and (lease := _lease(dump.line)):
            return lease
    told = tape.report.get("lease")
    if not isinstance(told, dict) or told.get("interface") != interface or told.get("method") != "static":
        return None
    dns = told.get("dns")
    names = tuple(str(one) for one in dns) if isinstance(dns, list) else ()
    try:
        address = ipaddress.IPv4Interface(str(told.get("address", "")))
    except ValueError:
        return None
    return Lease(address, str(told.get("gateway") or ""), names, "")


def _lease(line: DhcpLine) -> Lease | None:
    """None for an event that brought no address that could be used."""
    _, offer = read_dump(line)
    if offer is None:
        return None
    url = offer.server_urls[0] if offer.server_urls else ""
    return Lease(ipaddress.IPv4Interface(offer.address), offer.gateway, offer.dns, url)


def servers_of(tape: Tape) -> list[str]:
    """The hosts that were asked, the one with the plan first."""
    exchanges = [*tape.plans, *tape.exchanges]
    hosts = dict.fromkeys(place_of(one.line.url).host for one in exchanges)
    return [host for host in hosts if host]


def origins_of(tape: Tape) -> dict[str, str]:
    """`http://10.1.0.1:8080` of each server that was asked, and the interface by which it was, or mostly was."""
    origins: dict[str, str] = {}
    for one in (*tape.plans, *tape.exchanges):
        origins.setdefault(place_of(one.line.url).origin, one.line.interface)
    return origins


def place_of(url: str) -> Place:
    """Raises ReplayError for what is no URL of a server."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS[parts.scheme]
    except (KeyError, ValueError) as error:
        raise ReplayError(f"the recorded board asked {url[:200]!r}, which is no server's") from error
    return Place(f"{parts.scheme}://{parts.netloc}", parts.hostname or "", port, parts.scheme == "https")


def listening_address(host: str, cables: list[Cable]) -> str:
    """Where a server must listen so that the board finds it at `host`. Raises ReplayError where it cannot."""
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError as error:
        raise ReplayError(f"the recorded server has the name {host}, which nobody answers here", IN_PROCESS) from error
    for cable in cables:
        if cable.net and address in ipaddress.IPv4Network(cable.net.subnet):
            # QEMU hands on what is for its host to the loopback.
            return LOOPBACK
    return host


def used_lease(tape: Tape) -> str:
    """The interface over which the plan was asked for; "" where the boot did not come so far."""
    told = as_object(tape.plans[0].line.body.content).get("lease") if tape.plans else None
    return str(told.get("interface", "")) if isinstance(told, dict) else ""


def _answered(tape: Tape, interface: str) -> bool:
    """Was any server there, over this adapter? Where none was, none must be now."""
    lines = [one.line for one in tape.exchanges if one.line.interface == interface]
    return any(line.status is not None or break_of(line) in OF_A_SERVER for line in lines)


def _inside(address: str, network: ipaddress.IPv4Network) -> str:
    try:
        return address if ipaddress.IPv4Address(address) in network else ""
    except ValueError:
        return ""


def _free(network: ipaddress.IPv4Network, taken: set[str]) -> str:
    hosts = (str(host) for host in network.hosts())
    return next(host for host in hosts if host not in taken)
