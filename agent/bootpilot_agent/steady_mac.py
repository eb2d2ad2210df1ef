"""Gives an interface the MAC that it keeps from boot to boot, where its own would be another one each time.

Touches the interface, which must not be in use yet.
"""

from collections.abc import Sequence
from pathlib import Path

from bootpilot_agent import addresses, ethernet, links
from bootpilot_agent.console import say
from bootpilot_agent.evidence import Evidence


def settle_mac(device: str, evidence: Sequence[Evidence], root: Path = Path("/")) -> addresses.GivenMac | None:
    """A random MAC becomes firmware's, else one derived from the board's identity. Raises CommandError.

    Returns the MAC that the interface would not have by itself; None where it has its own, or nothing names this board.
    """
    nic = ethernet.read_nic(device, root)
    if nic.addr_assign_type != ethernet.RANDOM:
        if nic.mac and nic.mac == ethernet.derived_mac(device, root):
            return _given(device, nic.mac, root, derived=True)  # by the loader before this one
        return None
    firmware = ethernet.firmware_mac(device, root)
    mac = firmware or addresses.stable_mac(evidence, nic.path)
    if mac is None:
        say(f"{device}: random MAC {nic.mac}, and nothing to derive a steady one from: the address may change")
        return None
    links.set_down(device)
    links.set_mac(device, mac)
    origin = "from firmware" if firmware else "derived from this board"
    say(f"{device}: MAC {mac} {origin}, instead of random {nic.mac}")
    return _given(device, mac, root, derived=not firmware or mac == ethernet.derived_mac(device, root))


def _given(device: str, mac: str, root: Path, *, derived: bool) -> addresses.GivenMac:
    return addresses.GivenMac(device, mac, ethernet.tree_node(device, root), derived)
