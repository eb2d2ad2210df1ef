"""Changes the system's interfaces, addresses and routes, one `ip` command each; reads them back by netifaces.

Everything passed in has been checked before (names from /sys, addresses from `dhcp.py` or `settings.py`). Only commands that
both busybox and iproute2 understand are used.
"""

import contextlib
import ipaddress
from pathlib import Path

import netifaces

from bootpilot_agent.errors import CommandError
from bootpilot_agent.run import run

# Bringing a link up may load firmware or wait for a PHY.
TIMEOUT_S = 30.0
IFA_F_TENTATIVE = 0x40
IFA_F_DADFAILED = 0x08
GLOBAL_SCOPE = "00"


def set_up(name: str) -> None:
    """Raises CommandError, as everything here that changes something."""
    _ip("link", "set", "dev", name, "up")


def set_down(name: str) -> None:
    _ip("link", "set", "dev", name, "down")


def set_mac(name: str, mac: str) -> None:
    """The link must be down: most drivers give EBUSY otherwise."""
    _ip("link", "set", "dev", name, "address", mac)


def set_mtu(name: str, mtu: int) -> None:
    _ip("link", "set", "dev", name, "mtu", str(mtu))


def add_vlan(parent: str, name: str, vlan: int) -> None:
    _ip("link", "add", "link", parent, "name", name, "type", "vlan", "id", str(vlan))


def drop_ipv6(name: str) -> None:
    """From now on the interface takes no IPv6 address, nor a route that some router advertises. No error without IPv6."""
    with contextlib.suppress(OSError):
        Path("/proc/sys/net/ipv6/conf", name, "disable_ipv6").write_text("1")


def add_address(name: str, address: str) -> None:
    """`address` with prefix length. One that is there already stays."""
    broadcast = () if ":" in address else ("broadcast", "+")
    if address.partition("/")[0] not in read_addresses(name):
        _ip(*_family(address), "addr", "add", address, *broadcast, "dev", name)


def flush(name: str, family: str = "-4") -> None:
    """Take all addresses of one family away; the routes over them go too."""
    _ip(family, "addr", "flush", "dev", name)


def set_default_route(name: str, address: str, gateway: str, metric: int) -> None:
    """Default route over this interface; the lowest metric wins. A gateway outside the subnet is taken to be on the link."""
    family = _family(gateway)
    if ipaddress.ip_address(gateway) not in ipaddress.ip_interface(address).network:
        _ip(*family, "route", "replace", gateway, "dev", name)
    _ip(*family, "route", "replace", "default", "via", gateway, "dev", name, "metric", str(metric))


def drop_default_route(name: str, gateway: str, metric: int) -> None:
    """No error if it is not there."""
    with contextlib.suppress(CommandError):
        _ip(*_family(gateway), "route", "del", "default", "via", gateway, "dev", name, "metric", str(metric))


def set_subnet_metric(name: str, address: str, metric: int) -> None:
    """Put the subnet's own route of an IPv4 address behind, or with 0 before, that of another interface in the same subnet."""
    interface = ipaddress.ip_interface(address)
    route = (str(interface.network), "dev", name)
    with contextlib.suppress(CommandError):
        _ip("-4", "route", "del", *route)
    _ip("-4", "route", "add", *route, "src", str(interface.ip), *(("metric", str(metric)) if metric else ()))


def read_addresses(name: str) -> list[str]:
    """IPv4 and IPv6 addresses of an interface, without prefix lengths and without those that are still being checked."""
    try:
        found = netifaces.ifaddresses(name)
    except ValueError:  # the interface has gone
        return []
    wanted = (netifaces.AF_INET, netifaces.AF_INET6)
    return [entry["addr"].partition("%")[0] for family in wanted for entry in found.get(family, ()) if "addr" in entry]


def read_global_ipv6(name: str, root: Path = Path("/")) -> list[str]:
    """Global IPv6 addresses ready for use, with prefix lengths. One under duplicate address detection cannot be used yet."""
    ready = {}
    for line in _if_inet6(root):
        digits, _, prefix, scope, flags, device = line.split()
        if device == name and scope == GLOBAL_SCOPE and not int(flags, 16) & (IFA_F_TENTATIVE | IFA_F_DADFAILED):
            ready[str(ipaddress.IPv6Address(int(digits, 16)))] = int(prefix, 16)
    return [f"{address}/{ready[address]}" for address in read_addresses(name) if address in ready]


def _if_inet6(root: Path) -> list[str]:
    # netifaces does not tell the flags. Columns: address, index, prefix length, scope, flags, device (net/ipv6/addrconf.c).
    try:
        return (root / "proc/net/if_inet6").read_text().splitlines()
    except OSError:  # a kernel without IPv6
        return []


def _family(address: str) -> tuple[str, ...]:
    return ("-6",) if ":" in address else ("-4",)


def _ip(*words: str) -> None:
    run(["ip", *words], timeout_s=TIMEOUT_S)
