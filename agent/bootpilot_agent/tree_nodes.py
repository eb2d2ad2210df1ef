"""Looking into device trees, and copying nodes from one to another. No I/O here.

A phandle is a number that only its own tree knows, so a copied node comes without its own and without properties that hold
those of others.
"""

import re
from collections.abc import Iterator

from bootpilot_agent.errors import PlanError
from bootpilot_agent.flat_tree import Node

CELL_BYTES = 4
# Devicetree Specification, section 2.3.5: where a node does not say.
DEFAULT_ADDRESS_CELLS, DEFAULT_SIZE_CELLS = 2, 1
OWN_PHANDLES = ("phandle", "linux,phandle")
# Properties that hold phandles of other nodes, as far as firmware adds nodes that have them.
REFERENCES = re.compile(
    r".*-supply|clocks|resets|power-domains|interrupts|interrupts-extended|interrupt-parent|memory-region|mboxes|shmem|display"
    r"|iommus|nvmem|dmas|phys|pinctrl-\d+"
)
# Addresses (a) and sizes (s) by the parent's cells, repeated: reserved-memory.yaml and section 2.3.6.
CODED = {"reg": "as", "alloc-ranges": "as", "size": "s", "alignment": "s"}


def strings(value: bytes) -> tuple[str, ...]:
    """A property of NUL-terminated strings."""
    return tuple(part.decode(errors="replace") for part in value.split(b"\0") if part)


def find_child(node: Node, name: str) -> Node | None:
    return next((child for child in node.children if child.name == name), None)


def find(root: Node, path: str) -> Node | None:
    """The node at an absolute path, None also for what is no such path."""
    if not path.startswith("/"):
        return None
    node: Node | None = root
    for name in filter(None, path.split("/")):
        node = find_child(node, name) if node else None
    return node


def put_child(node: Node, child: Node) -> None:
    node.children.append(child)


def drop_child(node: Node, name: str) -> None:
    node.children = [child for child in node.children if child.name != name]


def list_paths(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Every node with its path, parents first."""
    yield path or "/", node
    for child in node.children:
        yield from list_paths(child, f"{path}/{child.name}")


def alias_paths(root: Node, pattern: str) -> dict[str, str]:
    """The aliases whose whole name matches, and the paths that they stand for."""
    aliases = find_child(root, "aliases")
    found = aliases.properties.items() if aliases else ()
    return {name: strings(value)[0] for name, value in found if re.fullmatch(pattern, name) and strings(value)}


def is_on(node: Node) -> bool:
    """Section 2.3.4: what has no status is on."""
    return strings(node.properties.get("status", b"okay\0"))[:1] in (("okay",), ("ok",))


def refers_to_others(node: Node) -> bool:
    """Would a copy lack something?"""
    return any(REFERENCES.fullmatch(key) for each in node.walk() for key in each.properties)


def copied(node: Node) -> Node:
    """Node and all below it for another tree."""
    kept = {key: value for key, value in node.properties.items() if key not in OWN_PHANDLES and not REFERENCES.fullmatch(key)}
    return Node(node.name, kept, [copied(child) for child in node.children])


def take(source: Node, target: Node, keys: tuple[str, ...]) -> None:
    """As the source has them, also where it has them not."""
    for key in keys:
        target.properties.pop(key, None)
    take_present(source, target, keys)


def take_present(source: Node, target: Node, keys: tuple[str, ...]) -> None:
    target.properties |= {key: source.properties[key] for key in keys if key in source.properties}


def take_missing(source: Node, target: Node, keys: tuple[str, ...]) -> None:
    take_present(source, target, tuple(key for key in keys if key not in target.properties))


def recoded(node: Node, old_parent: Node, new_parent: Node) -> Node:
    """The node with its addresses and sizes written with as many cells as its new parent says. Raises PlanError."""
    old, new = cells_of(old_parent), cells_of(new_parent)
    if old != new:
        for key, kinds in CODED.items():
            if key in node.properties:
                node.properties[key] = _recode(node, key, kinds, old, new)
    return node


def cells_of(parent: Node) -> dict[str, int]:
    """How many cells an address and a size of its children have."""
    address = int.from_bytes(parent.properties.get("#address-cells", b""), "big") or DEFAULT_ADDRESS_CELLS
    size = int.from_bytes(parent.properties.get("#size-cells", b""), "big") or DEFAULT_SIZE_CELLS
    return {"a": address, "s": size}


def _recode(node: Node, key: str, kinds: str, old: dict[str, int], new: dict[str, int]) -> bytes:
    value, recoded_value = node.properties[key], b""
    at, index = 0, 0
    while at < len(value):
        kind = kinds[index % len(kinds)]
        number = int.from_bytes(value[at : at + old[kind] * CELL_BYTES], "big")
        at, index = at + old[kind] * CELL_BYTES, index + 1
        try:
            recoded_value += number.to_bytes(new[kind] * CELL_BYTES, "big")
        except OverflowError as error:
            raise PlanError(
                f"the plan's device tree has {new[kind]} cells for what needs more: {node.name} has {key} {number:#x}",
                "build the tree with #address-cells and #size-cells of 2, as for boards with more than 4 GiB",
            ) from error
    return recoded_value
