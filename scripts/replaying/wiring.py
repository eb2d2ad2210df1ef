"""The recorded board's network, as it has to be built: LANs, adapters, DHCP servers, boot servers and names. No I/O here.

Any address can be had where nobody else is: the recorded ones are used, so that URLs and leases need no translation.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from bootpilot_agent.dhcp import DhcpEvent, parse_offer
from bootpilot_agent.fields import Json
from scripts.replaying.board_files import is_name
from scripts.replaying.errors import ReplayError
from scripts.replaying.recorded_leases import first_leases, not_taken, read_dump
from scripts.replaying.tape import Dump, Tape, as_object

# Offers in the first seconds were waiting when the board asked. Later ones come when they came, but for udhcpc's own pauses.
AT_ONCE_MS, EARLIER_MS = 4000, 2000
PORTS = {"http": 80, "https": 443}
OPTION_CODES = {"subnet": 1, "router": 3, "dns": 6, "domain": 15, "mtu": 26, "lease": 51, "bootfile": 67, "opt224": 224}
# Decimal digits that fit into the option.
NUMBERS = {"lease": r"[0-9]{1,9}", "mtu": r"[0-9]{1,4}"}
STATIC_HOST_BITS = 30
# Behind the answers of the server whose lease was taken.
LATER_S = 1.0
IFNAMSIZ = 16  # linux/if.h


@dataclass(frozen=True)
class Wire:
    """One adapter of the board on a LAN of its own network. `at_s`: when it is plugged in; `cable`: and whether it has one."""

    interface: str
    mac: str
    lan: str
    at_s: float = 0.0
    cable: bool = True


@dataclass(frozen=True)
class Offer:
    """What a DHCP server on a LAN says, from `at_s` on: option code -> bytes. `host`: the board's number in the network.

    `only`: the MAC of the one adapter that it is for, where several are on this LAN. `delay_s`: before each of its answers.
    """

    lan: str
    ours: ipaddress.IPv4Interface
    host: int
    options: Mapping[int, bytes]
    at_s: float
    only: str = ""
    delay_s: float = 0.0


@dataclass(frozen=True)
class Wiring:
    """`addresses`: LAN -> our own there. `origins`: URLs of the servers. `names`: those that a name server has to know."""

    wires: tuple[Wire, ...]
    offers: tuple[Offer, ...]
    addresses: Mapping[str, str]
    extra_addresses: tuple[str, ...]
    origins: tuple[str, ...]
    names: tuple[str, ...]
    interfaces: Mapping[str, str]


def wire_up(tape: Tape) -> Wiring:
    """Raises ReplayError for a network that cannot be built here."""
    leases, offers = dict(_leases(tape)), dict(first_leases(tape))
    origins = tuple(dict.fromkeys(_origin(one.line.url) for one in tape.exchanges))
    hosts = [urlsplit(origin).hostname or "" for origin in origins]
    _refuse_ipv6([*hosts, *leases.values()])
    names = _interfaces(tape, [*_nic_names(tape), *offers, *leases, *(one.line.interface for one in tape.exchanges)])
    lans = _lans(names, {**leases, **{name: parse_offer(event).address for name, (_, event) in offers.items()}})
    wires = tuple(_wire(name, lans[name], tape) for name in names)
    found = tuple(_offer(wire, *offers[wire.interface], wires) for wire in wires if wire.interface in offers)
    addresses = {offer.lan: str(offer.ours) for offer in found}
    found += tuple(
        replace(_offer(wire, dump, event, wires), delay_s=LATER_S)
        for wire in wires
        for dump, event in not_taken(wire.interface, tape)
    )
    for name, address in leases.items():
        addresses.setdefault(lans.get(name, name), _beside(address))
    taken = {text.partition("/")[0] for text in addresses.values()}
    servers = [server for _, event in offers.values() for server in parse_offer(event).dns]
    extra = dict.fromkeys([*filter(_is_ipv4, hosts), *servers])
    return Wiring(
        wires=wires,
        offers=found,
        addresses=addresses,
        extra_addresses=tuple(one for one in extra if one not in taken),
        origins=origins,
        names=tuple(dict.fromkeys(host for host in hosts if not _is_ipv4(host))),
        interfaces={address.partition("/")[0]: name for name, address in _all_addresses(tape)},
    )


def _interfaces(tape: Tape, seen: list[str]) -> list[str]:
    names = [name for name in dict.fromkeys(seen) if is_name(name) and len(name) < IFNAMSIZ]
    for name in names:
        if "." in name:
            raise ReplayError(f"{name} is a VLAN, which this runner does not build", "--runner in-process replays it")
    return names


def _lans(names: list[str], addresses: Mapping[str, str]) -> dict[str, str]:
    """By interface. Adapters with addresses of one network are on one LAN."""
    lans: dict[str, str] = {}
    of_network: dict[str, str] = {}
    for number, name in enumerate(names):
        network = _network(addresses.get(name, ""))
        lans[name] = of_network.setdefault(network or f"of {name} alone", f"lan{number}")
    return lans


def _network(address: str) -> str:
    try:
        return str(ipaddress.IPv4Interface(address).network)
    except ValueError:
        return ""


def _refuse_ipv6(texts: list[str]) -> None:
    if any(":" in text for text in texts):
        raise ReplayError("this boot went over IPv6, which this runner does not build", "--runner in-process replays it")


def _offer(wire: Wire, dump: Dump, event: DhcpEvent, wires: tuple[Wire, ...]) -> Offer:
    interface = ipaddress.IPv4Interface(parse_offer(event).address)
    options = {code: value for name, code in OPTION_CODES.items() if (value := _option(name, event.values.get(name, "")))}
    at_s = 0.0 if dump.at_ms < AT_ONCE_MS else (dump.at_ms - EARLIER_MS) / 1000
    host = int(interface.ip) - int(interface.network.network_address)
    shared = sum(1 for other in wires if other.lan == wire.lan) > 1
    return Offer(wire.lan, _our_address(interface, event), host, options, at_s, wire.mac if shared else "")


def _our_address(board: ipaddress.IPv4Interface, event: DhcpEvent) -> ipaddress.IPv4Interface:
    """The DHCP server's own, else the router's, else another one beside the board's."""
    for text in (event.values.get("serverid", ""), *event.values.get("router", "").split()):
        if _is_ipv4(text) and ipaddress.IPv4Address(text) in board.network and text != str(board.ip):
            return ipaddress.IPv4Interface((text, board.network.prefixlen))
    return ipaddress.IPv4Interface(_beside(str(board)))


def _option(name: str, text: str) -> bytes:
    """As udhcpc prints it -> as it stands in a packet."""
    if name in ("subnet", "router", "dns"):
        return b"".join(ipaddress.IPv4Address(word).packed for word in text.split() if _is_ipv4(word))
    if name in ("lease", "mtu"):
        return int(text).to_bytes(4 if name == "lease" else 2, "big") if re.fullmatch(NUMBERS[name], text) else b""
    if name == "opt224":
        return bytes.fromhex(text) if re.fullmatch(r"([0-9a-fA-F]{2})*", text) else b""
    return text.encode("latin-1", "replace")


def _leases(tape: Tape) -> Iterator[tuple[str, str]]:
    """Addresses that no DHCP server gave, by interface."""
    for one in tape.plans:
        lease = as_object(one.line.body.content).get("lease")
        if isinstance(lease, dict) and lease.get("method") != "dhcp":
            yield str(lease.get("interface")), str(lease.get("address"))


def _all_addresses(tape: Tape) -> Iterator[tuple[str, str]]:
    yield from _leases(tape)
    for dump in tape.dumps:
        _, offer = read_dump(dump.line)
        if offer is not None:
            yield dump.line.interface, offer.address


def _wire(name: str, lan: str, tape: Tape) -> Wire:
    nic = next((nic for nic in _nics(tape) if nic.get("name") == name), {})
    mac = str(nic.get("mac", ""))
    used = any(one.line.interface == name for one in tape.exchanges)
    is_mac = re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", mac)
    return Wire(name, mac if is_mac else "", lan, _seen_s(name, tape), used or bool(nic.get("carrier")))


def _seen_s(name: str, tape: Tape) -> float:
    """When the kernel had it first; the first looks come within the first second of a boot."""
    for reading in tape.readings:
        if reading.line.path == "sys/class/net" and name in reading.line.names:
            return 0.0 if reading.at_ms < AT_ONCE_MS else reading.at_ms / 1000
    return 0.0


def _nics(tape: Tape) -> list[dict[str, Json]]:
    nics = tape.report.get("nics")
    return [nic for nic in nics if isinstance(nic, dict)] if isinstance(nics, list) else []


def _nic_names(tape: Tape) -> list[str]:
    return [str(nic.get("name")) for nic in _nics(tape)]


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _beside(address: str) -> str:
    """Another host of the same network."""
    try:
        board = ipaddress.IPv4Interface(address)
    except ValueError as error:
        raise ReplayError(f"{address} is no address that this runner can give", "--runner in-process replays it") from error
    if board.network.prefixlen > STATIC_HOST_BITS:
        raise ReplayError(f"there is no other host in the network of {address}", "--runner in-process replays it")
    first = board.network.network_address + 1
    return f"{first if first != board.ip else first + 1}/{board.network.prefixlen}"


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
