"""How the new system gets its address, in the words of whatever program of it brings up networks. No I/O here.

The interface is named by its MAC, because the loader and the system may call it otherwise. DHCP gets the client-id that the
loader used, so that the address stays; where a program cannot send it, that is said.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

HEADING = "# by bootpilot-install\n"
# RFC 2132, 9.14: a client-id that is an Ethernet address; every program sends that when it is told to.
ETHERNET_ID = "01"


class Program(StrEnum):
    """What brings up networks, in the order in which an image's is looked for: the more special first."""

    NETPLAN = "netplan"
    NETWORK_MANAGER = "NetworkManager"
    IFUPDOWN = "ifupdown"
    NETWORKD = "systemd-networkd"


# The file that tells that the image has it.
TOLD_BY = {
    Program.NETPLAN: ("usr/sbin/netplan",),
    Program.NETWORK_MANAGER: ("usr/sbin/NetworkManager",),
    Program.IFUPDOWN: ("sbin/ifup", "usr/sbin/ifup"),
    Program.NETWORKD: ("lib/systemd/systemd-networkd", "usr/lib/systemd/systemd-networkd"),
}


@dataclass(frozen=True)
class Address:
    """What was ordered, and what the loader had. `address` has its prefix, "" for DHCP; `client_id` is hex."""

    mac: str
    client_id: str = ""
    address: str = ""
    gateway: str = ""
    dns: tuple[str, ...] = ()
    vlan: int | None = None

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.address

    @property
    def is_ethernet_id(self) -> bool:
        """The client-id is the MAC, or the loader did not use DHCP."""
        return self.client_id in ("", ETHERNET_ID + self.mac.replace(":", ""))


@dataclass(frozen=True)
class NetworkFiles:
    """Path -> (text, mode); links to make; what to append to files that are there; what a person should know."""

    files: dict[str, tuple[str, int]]
    links: dict[str, str] = field(default_factory=dict)
    appended: dict[str, str] = field(default_factory=dict)
    warning: str = ""


def network_files(program: Program, address: Address) -> NetworkFiles:
    """The files for one program."""
    return _WRITERS[program](address)


def resolv_conf(dns: Sequence[str]) -> str:
    return HEADING + "".join(f"nameserver {server}\n" for server in dns)


def _client_id_warning(program: Program, address: Address) -> str:
    if address.address or address.is_ethernet_id:
        return ""
    return f"{program} cannot send the loader's DHCP client-id, so the DHCP server may give the system another address"


def _networkd(address: Address) -> NetworkFiles:
    own = _networkd_addresses(address)
    files = {}
    if address.vlan is None:
        files["10-bootpilot.network"] = f"[Match]\nMACAddress={address.mac}\nKind=!vlan\n\n{own}"
    else:
        name = f"vlan{address.vlan}"
        files["10-bootpilot.network"] = (
            f"[Match]\nMACAddress={address.mac}\nKind=!vlan\n\n[Network]\nVLAN={name}\nLinkLocalAddressing=no\n"
        )
        files["10-bootpilot-vlan.netdev"] = f"[NetDev]\nName={name}\nKind=vlan\n\n[VLAN]\nId={address.vlan}\n"
        files["10-bootpilot-vlan.network"] = f"[Match]\nName={name}\n\n{own}"
    unit = "systemd-networkd.service"
    return NetworkFiles(
        {f"etc/systemd/network/{name}": (HEADING + text, 0o644) for name, text in files.items()},
        # As `systemctl enable` would, which cannot run for another processor.
        links={f"etc/systemd/system/multi-user.target.wants/{unit}": f"/lib/systemd/system/{unit}"},
        # systemd issues 7828 and 32858.
        warning=_client_id_warning(Program.NETWORKD, address),
    )


def _networkd_addresses(address: Address) -> str:
    if not address.address:
        return "[Network]\nDHCP=yes\n\n[DHCPv4]\nClientIdentifier=mac\n"
    gateway = f"\n[Route]\nGateway={address.gateway}\nGatewayOnLink=yes\n" if address.gateway else ""
    return f"[Network]\nAddress={address.address}\n" + "".join(f"DNS={server}\n" for server in address.dns) + gateway


def _ifupdown(address: Address) -> NetworkFiles:
    """Patterns by MAC: interfaces(5), "Pattern matching interfaces" (ifupdown 0.8.36 and later)."""
    family = "inet6" if address.is_ipv6 else "inet"
    lines = [f"auto mac/{address.mac}=lan", f"allow-hotplug mac/{address.mac}=lan"]
    name = "lan"
    if address.vlan is not None:
        name = "tagged"
        lines += [
            "iface lan inet manual",
            f'    up ifup "$IFACE.{address.vlan}=tagged"',
            f'    down ifdown "$IFACE.{address.vlan}"',
        ]
    if address.address:
        lines += [f"iface {name} {family} static", f"    address {address.address}"]
        lines += [f"    gateway {address.gateway}"] if address.gateway else []
        lines += [f"    dns-nameservers {' '.join(address.dns)}"] if address.dns else []
    else:
        lines.append(f"iface {name} inet dhcp")
    loopback = "auto lo\niface lo inet loopback\n\n"
    text = HEADING + loopback + "\n".join(lines) + "\n"
    return NetworkFiles({"etc/network/interfaces": (text, 0o644)}, appended=_dhcp_clients(address))


def _dhcp_clients(address: Address) -> dict[str, str]:
    """The configuration of the clients that ifup starts: dhclient.conf(5), dhcpcd.conf(5)."""
    if address.address or not address.client_id:
        return {}
    octets = ":".join(address.client_id[i : i + 2] for i in range(0, len(address.client_id), 2))
    return {
        "etc/dhcp/dhclient.conf": f"{HEADING}send dhcp-client-identifier {octets};\n",
        "etc/dhcpcd.conf": f"{HEADING}clientid {octets}\n",
    }


def _network_manager(address: Address) -> NetworkFiles:
    """Keyfiles: nm-settings-keyfile(5). A connection needs a UUID that stays the same; the MAC makes it."""
    kind = "ethernet" if address.vlan is None else "vlan"
    own = uuid.uuid5(uuid.NAMESPACE_OID, f"bootpilot {address.mac} {address.vlan}")
    files = {"bootpilot": _keyfile(kind, "bootpilot", str(own), address)}
    if address.vlan is not None:
        carrier = uuid.uuid5(uuid.NAMESPACE_OID, f"bootpilot {address.mac}")
        files["bootpilot-carrier"] = (
            f"[connection]\nid=bootpilot-carrier\nuuid={carrier}\ntype=ethernet\n\n[ethernet]\nmac-address={address.mac}\n\n"
            "[ipv4]\nmethod=disabled\n\n[ipv6]\nmethod=disabled\n"
        )
        files["bootpilot"] += f"\n[vlan]\nid={address.vlan}\nparent={carrier}\ninterface-name=vlan{address.vlan}\n"
    return NetworkFiles(
        {f"etc/NetworkManager/system-connections/{name}.nmconnection": (text, 0o600) for name, text in files.items()}
    )


def _keyfile(kind: str, name: str, own: str, address: Address) -> str:
    head = f"{HEADING}[connection]\nid={name}\nuuid={own}\ntype={kind}\nautoconnect=true\n"
    if kind == "vlan":
        head += f"interface-name=vlan{address.vlan}\n"
    else:
        head += f"\n[ethernet]\nmac-address={address.mac}\n"
    octets = ":".join(address.client_id[i : i + 2] for i in range(0, len(address.client_id), 2))
    chosen = "ipv6" if address.is_ipv6 else "ipv4"
    sections = {"ipv4": "method=auto\n", "ipv6": "method=auto\n"}
    if address.address:
        gateway = f",{address.gateway}" if address.gateway else ""
        dns = f"dns={';'.join(address.dns)};\n" if address.dns else ""
        sections[chosen] = f"method=manual\naddress1={address.address}{gateway}\n{dns}"
        if chosen == "ipv6":
            sections["ipv4"] = "method=disabled\n"
    elif octets:
        sections["ipv4"] += f"dhcp-client-id={octets}\n"
    return head + "".join(f"\n[{section}]\n{text}" for section, text in sections.items())


def _netplan(address: Address) -> NetworkFiles:
    """JSON is YAML, and needs no quoting of our own."""
    own: dict[str, object] = {}
    if address.address:
        own["addresses"] = [address.address]
        if address.gateway:
            own["routes"] = [{"to": "::/0" if address.is_ipv6 else "0.0.0.0/0", "via": address.gateway, "on-link": True}]
        if address.dns:
            own["nameservers"] = {"addresses": list(address.dns)}
    else:
        own = {"dhcp4": True, "dhcp6": True, "dhcp-identifier": "mac"}
    lan: dict[str, object] = {"match": {"macaddress": address.mac}}
    network: dict[str, object] = {"version": 2, "ethernets": {"lan": lan}}
    if address.vlan is None:
        lan |= own
    else:
        network["vlans"] = {f"vlan{address.vlan}": {"id": address.vlan, "link": "lan", **own}}
    text = HEADING + json.dumps({"network": network}, indent=2) + "\n"
    return NetworkFiles({"etc/netplan/10-bootpilot.yaml": (text, 0o600)}, warning=_client_id_warning(Program.NETPLAN, address))


_WRITERS = {
    Program.NETPLAN: _netplan,
    Program.NETWORK_MANAGER: _network_manager,
    Program.IFUPDOWN: _ifupdown,
    Program.NETWORKD: _networkd,
}
