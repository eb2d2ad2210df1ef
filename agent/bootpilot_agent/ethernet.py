"""Reads the Ethernet interfaces from /sys/class/net. Changes nothing; `network.py` does."""

import re
from pathlib import Path

from bootpilot_agent import sysfs
from bootpilot_agent.addresses import DERIVED_MAC
from bootpilot_agent.inventory import MAX_NICS, Nic

ARPHRD_ETHER = 1
IFF_NOARP = 0x80
# DEVTYPE of interfaces that can lead to a boot server by themselves: plain Ethernet has none, a switch port has "dsa".
# wlan and wwan need credentials first; bridge, bond, vlan and the like lie on other interfaces.
DEVTYPES = ("", "dsa")
PERMANENT, RANDOM = 0, 1
WIRELESS = ("wireless", "phy80211")


def ethernet_names(root: Path = Path("/")) -> list[str]:
    """Names of the Ethernet interfaces in the order of their device paths, which is the same at every boot."""
    folder = root / "sys/class/net"
    names = [name for name in sysfs.list_names(folder) if is_ethernet(folder / name)]
    return sorted(names, key=lambda name: (nic_path(name, root), name))[:MAX_NICS]


def is_ethernet(folder: Path) -> bool:
    """True for a wired interface that can carry the boot by itself."""
    if sysfs.read_number(folder / "type") != ARPHRD_ETHER or any(sysfs.exists(folder / name) for name in WIRELESS):
        return False
    # Interfaces that only look like Ethernet (dummy, ifb) do no ARP.
    if _flags(folder) & IFF_NOARP:
        return False
    # The processor's side of a switch carries tagged frames only (Documentation/networking/dsa).
    if sysfs.exists(folder / "dsa"):
        return False
    return _devtype(folder) in DEVTYPES


def _devtype(folder: Path) -> str:
    devtype = re.search(r"^DEVTYPE=(.*)$", sysfs.read_bytes(folder / "uevent").decode(errors="replace"), re.MULTILINE)
    return devtype[1] if devtype else ""


def _flags(folder: Path) -> int:
    text = sysfs.read_text(folder / "flags")
    return int(text, 16) if re.fullmatch(r"0x[0-9a-f]{1,8}", text) else 0


def read_nic(name: str, root: Path = Path("/")) -> Nic:
    """Everything the report says of one interface. Never raises."""
    folder = root / "sys/class/net" / name
    carrier, speed = sysfs.read_number(folder / "carrier"), sysfs.read_number(folder / "speed")
    return Nic(
        name=name[:64],
        mac=sysfs.read_text(folder / "address", most=64).lower(),
        addr_assign_type=max(0, min(255, sysfs.read_number(folder / "addr_assign_type") or 0)),
        driver=sysfs.link_name(folder / "device/driver")[:64],
        carrier=None if carrier is None else carrier == 1,
        # -1 stands for unknown (drivers of virtual NICs, a link that is down).
        speed_mbps=speed if speed is not None and 0 <= speed <= 10_000_000 else None,
        path=nic_path(name, root)[:512],
    )


def nic_path(name: str, root: Path = Path("/")) -> str:
    """Where the interface sits, without its name, which may change from boot to boot: `/devices/.../1c0b000.ethernet`."""
    path = sysfs.device_path(root / "sys/class/net" / name, root)
    return path if path.startswith("/devices/virtual/") else path.removesuffix(f"/net/{name}")


def lasting_name(name: str, root: Path = Path("/")) -> str:
    """By what an adapter that was unplugged is known again: its own MAC, else its place. The ports of a switch share both."""
    nic = read_nic(name, root)
    return nic.mac if nic.addr_assign_type == PERMANENT and nic.mac else nic.path


def firmware_mac(name: str, root: Path = Path("/")) -> str:
    """The MAC that firmware wrote into the interface's device tree node, "" if there is none."""
    node = _tree_link(name, root)
    return next((mac for mac in (mac_property(node / key) for key in ("mac-address", "local-mac-address")) if mac), "")


def derived_mac(name: str, root: Path = Path("/")) -> str:
    """The MAC that the loader before this kernel derived for the interface (tree_macs.py), "" if it did not."""
    return mac_property(_tree_link(name, root) / DERIVED_MAC)


def tree_node(name: str, root: Path = Path("/")) -> str:
    """The path of the interface in the device tree, "" if the tree does not know it."""
    try:
        path = _tree_link(name, root).resolve().relative_to((root / "sys/firmware/devicetree/base").resolve())
    except (OSError, ValueError, RuntimeError):
        return ""
    return f"/{path}"


def _tree_link(name: str, root: Path) -> Path:
    """One of several interfaces of a device has a node of its own; the device's is the switch's then (net/dsa/user.c)."""
    folder = root / "sys/class/net" / name
    own = folder / "of_node"
    return own if sysfs.exists(own) or _devtype(folder) == "dsa" else folder / "device/of_node"


def mac_property(path: Path) -> str:
    """A device tree property of six bytes as a MAC; "" for zeros, a multicast address or another length."""
    raw = sysfs.read_bytes(path)
    return ":".join(f"{byte:02x}" for byte in raw) if len(raw) == 6 and any(raw) and not raw[0] & 1 else ""
