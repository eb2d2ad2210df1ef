"""MAC addresses in the payload's device tree: what firmware wrote into the running one, and what the agent set. No I/O here."""

from collections.abc import Sequence

from bootpilot_agent.addresses import DERIVED_MAC, GivenMac
from bootpilot_agent.flat_tree import FlatTree, Node
from bootpilot_agent.tree_memory import Running
from bootpilot_agent.tree_nodes import alias_paths, find, take

# In the order in which a kernel believes them (of_get_mac_address() in net/core/of_net.c).
MAC_KEYS = ("mac-address", "local-mac-address")
ALIASES = r"ethernet\d*"


def carry_macs(running: Running, plan: FlatTree) -> list[str]:
    """Those of what /aliases/ethernet* name. Gives what could not be carried over."""
    notes = []
    places = alias_paths(plan.root, ALIASES)
    for alias, path in alias_paths(running.root, ALIASES).items():
        ours = find(running.root, path)
        if ours is None or not any(key in ours.properties for key in MAC_KEYS):
            continue
        theirs = find(plan.root, places.get(alias, path))
        if theirs is None:
            notes.append(f"the MAC of {alias} has no place in the plan's tree ({path})")
            continue
        take(ours, theirs, MAC_KEYS)
    return notes


def put_macs(macs: Sequence[GivenMac], running: Node, payload: Node) -> list[str]:
    """Write what the agent set into the payload's tree. Gives what a person should know.

    The node has the same path in both trees, or the same alias: the kernel's own trees and a vendor's name buses otherwise.
    """
    notes = []
    for given in macs:
        node = find(payload, given.node) or _find_by_alias(given.node, running, payload)
        if node is None:
            notes.append(f"the MAC of {given.interface} has no place in the plan's tree ({given.node})")
            continue
        for key in MAC_KEYS:
            node.properties.pop(key, None)
        node.properties["local-mac-address"] = raw = bytes.fromhex(given.mac.replace(":", ""))
        if given.derived:
            node.properties[DERIVED_MAC] = raw
        notes.append(f"{given.interface} keeps its MAC {given.mac} (local-mac-address of {given.node})")
    return notes


def _find_by_alias(path: str, running: Node, payload: Node) -> Node | None:
    places = alias_paths(payload, ALIASES)
    names = [alias for alias, place in alias_paths(running, ALIASES).items() if place == path]
    return next((found for name in names if (found := find(payload, places.get(name, "")))), None)
