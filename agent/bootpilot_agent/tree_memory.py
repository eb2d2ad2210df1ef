"""A board's memory in a device tree: what there is, and what the next kernel must leave alone. No I/O here."""

from dataclasses import dataclass

from bootpilot_agent.flat_tree import FlatTree, Node
from bootpilot_agent.tree_nodes import copied, find_child, put_child, recoded, strings

# Physical addresses that only firmware knows: boot/image-fdt.c in U-Boot reserves the initrd that it loaded, and the tree.
PAGE_BYTES = 4096


@dataclass(frozen=True)
class Running:
    """The tree that the loader runs with, and how many bytes of memory it takes."""

    tree: FlatTree
    size_bytes: int

    @property
    def root(self) -> Node:
        return self.tree.root


def carry_memory(running: Running, plan: FlatTree) -> list[str]:
    found = [node for node in running.root.children if is_memory(node)]
    by_uefi = "linux,uefi-mmap-start" in running.root.child("chosen").properties
    if not found and not by_uefi:
        return ["the running tree says nothing of memory; the plan's own counts"]
    plan.root.children = [node for node in plan.root.children if not is_memory(node)]
    # Among the first, as firmware puts them.
    plan.root.children[:0] = [recoded(copied(node), running.root, plan.root) for node in found]
    return []


def carry_reserved_memory(running: Running, plan: FlatTree) -> list[str]:
    ours = find_child(running.root, "reserved-memory")
    if ours is None:
        return []
    if find_child(plan.root, "reserved-memory") is None:
        put_child(plan.root, Node("reserved-memory", dict(copied(ours).properties)))
    theirs = plan.root.child("reserved-memory")
    for node in ours.children:
        fresh = recoded(copied(node), ours, theirs)
        known = find_child(theirs, node.name)
        if known is None:
            put_child(theirs, fresh)
        else:
            # Devices of the plan's tree point at it by its phandle there.
            known.properties |= fresh.properties
    return []


def carry_reservations(running: Running, plan: FlatTree) -> list[str]:
    """But not those of the loader's own initrd and tree, in whose place the next kernel's may come: it would refuse them."""
    chosen = running.root.child("chosen").properties
    start, end = (int.from_bytes(chosen.get(f"linux,initrd-{name}", b""), "big") for name in ("start", "end"))
    sizes_of_tree = {running.size_bytes, -(-running.size_bytes // PAGE_BYTES) * PAGE_BYTES}
    plan.reserved += [
        entry
        for entry in running.tree.reserved
        if entry not in plan.reserved
        and not (start <= entry[0] < end and entry[0] + entry[1] <= end + PAGE_BYTES)
        and entry[1] not in sizes_of_tree
    ]
    return []


def is_memory(node: Node) -> bool:
    return node.name.partition("@")[0] == "memory" or strings(node.properties.get("device_type", b"")) == ("memory",)
