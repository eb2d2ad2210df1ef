"""What a DHCP server said, from the hook's dump to a checked DhcpOffer. No I/O here; nothing in it is trusted.

Anybody on the wire can answer a DISCOVER. What makes an address unusable is refused with a DhcpError; what is merely wrong
(a router that cannot be reached, an MTU of 68) is left out with a note, because the rest may still lead to the server.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from bootpilot_agent.errors import NetworkError
from bootpilot_agent.setting_values import SettingValueError, is_usable_address, read_url

MAX_DUMP_BYTES = 64 * 1024
MAX_NAME_SERVERS = 3  # MAXNS of resolv.conf(5)
# RFC 791 makes every host take 576 bytes; above 9216 no Ethernet goes. An MTU of 68 would cut a kernel into a million packets.
LEAST_MTU, MOST_MTU = 576, 9216
SHORT_LEASE_S = 60
BOUND_EVENTS = ("bound", "renew")
# Not udhcpc's: what dhcp_others.py heard from a server whose lease is not in use.
NOT_TAKEN = "offer"


class DhcpError(NetworkError):
    """An offer that cannot be used; the message names the option."""

    def __init__(self, option: str, expected: str, got: str) -> None:
        super().__init__(f"DHCP option {option}: expected {expected}, got {_shown(got)}")


@dataclass(frozen=True)
class DhcpOffer:
    """A usable offer. `address` has its prefix length; `notes` says what in the offer was left out and why."""

    address: str
    gateway: str
    dns: tuple[str, ...]
    domain: str
    mtu: int | None
    lease_s: int
    server: str
    server_urls: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class NamedServers:
    """What an offer says of boot servers, whether or not its address is taken; `server` is the DHCP server's address, or ""."""

    server: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class DhcpEvent:
    """One call of the hook: udhcpc's event (bound, renew, deconfig, nak, leasefail), and its variables.

    Or NOT_TAKEN, with the variables of an offer.
    """

    name: str
    values: Mapping[str, str]

    @property
    def has_lease(self) -> bool:
        return self.name in BOUND_EVENTS


def parse_event(dump: bytes) -> DhcpEvent:
    """The hook's NUL-separated dump -> event. Raises DhcpError."""
    if len(dump) > MAX_DUMP_BYTES:
        raise DhcpError("dump", f"at most {MAX_DUMP_BYTES} bytes", f"{len(dump)} bytes")
    pairs = (part.decode("latin-1").partition("=") for part in dump.split(b"\0") if b"=" in part)
    values: dict[str, str] = {}
    for name, _, value in pairs:
        values.setdefault(name, value)
    if "event" not in values:
        raise DhcpError("dump", "an event", "none")
    return DhcpEvent(values["event"], values)


def parse_offer(event: DhcpEvent) -> DhcpOffer:
    """A bound or renew event -> checked offer. Raises DhcpError if no address can be had from it."""
    values, notes = event.values, list[str]()
    address = _address(values, notes)
    return DhcpOffer(
        address=str(address),
        gateway=_gateway(values, address, notes),
        dns=_name_servers(values, notes),
        domain=_domain(values, notes),
        mtu=_mtu(values, notes),
        lease_s=_lease_seconds(values, notes),
        server=_server(values),
        server_urls=_server_urls(values, notes),
        notes=tuple(notes),
    )


def parse_named_servers(event: DhcpEvent) -> NamedServers:
    """Of any event with an offer's variables. Never raises: what is no URL is no server."""
    return NamedServers(_server(event.values), _server_urls(event.values, []))


def _address(values: Mapping[str, str], notes: list[str]) -> ipaddress.IPv4Interface:
    address = _ipv4(values.get("ip", ""))
    if address is None:
        raise DhcpError("address", "a host's IPv4 address", values.get("ip", ""))
    prefix = _prefix(values.get("subnet", ""))
    if prefix is None:
        # Without option 1 the class of the address counts, as before 1993 (RFC 950); a mask of zeros would claim the world.
        first = address.packed[0]
        prefix = 8 if first < 128 else 16 if first < 192 else 24
        notes.append(f"subnet mask {_shown(values.get('subnet', ''))} left out; /{prefix} taken from the address")
    interface = ipaddress.IPv4Interface((address, prefix))
    if prefix < 31 and address in (interface.network.network_address, interface.network.broadcast_address):
        raise DhcpError("address", "a host's address in its subnet", str(interface))
    return interface


def _prefix(mask: str) -> int | None:
    if not re.fullmatch(r"[0-9.]{7,15}", mask):
        return None
    try:
        # IPv4Network would take a host mask such as 0.0.0.255 too.
        bits = int(ipaddress.IPv4Address(mask))
    except ValueError:
        return None
    prefix = bits.bit_count()
    return prefix if prefix >= 1 and bits == (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF else None


def _gateway(values: Mapping[str, str], address: ipaddress.IPv4Interface, notes: list[str]) -> str:
    for text in _words(values, "router"):
        router = _ipv4(text)
        if router is not None and router != address.ip and (router in address.network or address.network.prefixlen == 32):
            return str(router)
        notes.append(f"router {_shown(text)} left out: not another host in {address.network}")
    return ""


def _name_servers(values: Mapping[str, str], notes: list[str]) -> tuple[str, ...]:
    found: list[str] = []
    for text in _words(values, "dns"):
        server = _ipv4(text)
        if server is None:
            notes.append(f"name server {_shown(text)} left out: no host's address")
        elif str(server) not in found:
            found.append(str(server))
    return tuple(found[:MAX_NAME_SERVERS])


def _domain(values: Mapping[str, str], notes: list[str]) -> str:
    # busybox itself writes "bad" for a name with characters that no name has.
    domain = values.get("domain", "").rstrip("\0. ")
    label = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})"
    if domain in ("", "bad"):
        return ""
    if len(domain) > 253 or not re.fullmatch(rf"{label}(\.{label})*", domain):
        notes.append(f"domain {_shown(domain)} left out: no domain name")
        return ""
    return domain


def _mtu(values: Mapping[str, str], notes: list[str]) -> int | None:
    text = values.get("mtu", "")
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text) or not LEAST_MTU <= int(text) <= MOST_MTU:
        notes.append(f"MTU {_shown(text)} left out: not from {LEAST_MTU} to {MOST_MTU}")
        return None
    return int(text)


def _lease_seconds(values: Mapping[str, str], notes: list[str]) -> int:
    text = values.get("lease", "")
    seconds = int(text) if re.fullmatch(r"[0-9]{1,10}", text) else 0
    if seconds < SHORT_LEASE_S:
        notes.append(f"lease time {_shown(text)} is shorter than a boot takes")
    return seconds


def _server(values: Mapping[str, str]) -> str:
    server = _ipv4(values.get("serverid", ""))
    return str(server) if server else ""


def _server_urls(values: Mapping[str, str], notes: list[str]) -> tuple[str, ...]:
    urls = _private_option_urls(values.get("opt224", ""), notes)
    if urls:
        return urls
    # As an option when it was asked for and the server knows it, else in the header's own field.
    for name in ("bootfile", "boot_file"):
        text = values.get(name, "").rstrip("\0 ")
        if text.lower().startswith(("http://", "https://")):
            try:
                return (read_url(text),)
            except SettingValueError as error:
                notes.append(f"option 67 {_shown(text)} left out: expected {error}")
    return ()


def _private_option_urls(hex_digits: str, notes: list[str]) -> tuple[str, ...]:
    try:
        text = bytes.fromhex(hex_digits).decode("ascii").rstrip("\0 ")
    except ValueError:
        notes.append(f"option 224 {_shown(hex_digits)} left out: no text")
        return ()
    found = []
    for word in re.split(r"[,\s]+", text) if text else ():
        try:
            found.append(read_url(word))
        except SettingValueError as error:
            notes.append(f"option 224 {_shown(word)} left out: expected {error}")
    return tuple(dict.fromkeys(found))


def _words(values: Mapping[str, str], name: str) -> list[str]:
    return values.get(name, "").split()[:16]


def _ipv4(text: str) -> ipaddress.IPv4Address | None:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return None
    return address if is_usable_address(address) else None


def _shown(value: str) -> str:
    shown = ascii(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."
