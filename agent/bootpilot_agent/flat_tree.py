"""A flattened device tree as nodes and properties, and back to bytes. No I/O here.

Format: Devicetree Specification, chapter 5: big-endian words, a block of reserved memory, a block of nodes, a block of names.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

MAGIC = 0xD00DFEED
VERSION, LAST_COMPATIBLE_VERSION = 17, 16
_HEADER = struct.Struct(">10I")
_BEGIN_NODE, _END_NODE, _PROPERTY, _NOTHING, _END = 1, 2, 3, 4, 9
# Deeper than any board's tree; a damaged one must not exhaust the stack.
DEEPEST = 64


class FlatTreeError(ValueError):
    """These bytes are no device tree, or a damaged one."""


@dataclass
class Node:
    """One node; the root's name is empty. Property values are the raw bytes, strings with their final NUL."""

    name: str
    properties: dict[str, bytes] = field(default_factory=dict)
    children: list["Node"] = field(default_factory=list)

    def child(self, name: str) -> "Node":
        """The child of that name, made if it is missing."""
        found = next((node for node in self.children if node.name == name), None)
        if found is None:
            found = Node(name)
            self.children.append(found)
        return found

    def walk(self) -> Iterator["Node"]:
        """This node and all below it, parents first."""
        yield self
        for node in self.children:
            yield from node.walk()


@dataclass
class FlatTree:
    """A whole tree. `reserved` are (address, size) of memory that the kernel must leave alone."""

    root: Node
    reserved: list[tuple[int, int]] = field(default_factory=list)
    boot_cpu: int = 0


def read_tree(blob: bytes) -> FlatTree:
    """Raises FlatTreeError."""
    try:
        return _Reader(blob).tree()
    except (struct.error, IndexError, UnicodeDecodeError, ValueError) as error:
        raise FlatTreeError(f"a damaged device tree: {error}") from error


def write_tree(tree: FlatTree) -> bytes:
    """The bytes that a kernel takes."""
    names: dict[str, int] = {}
    strings, nodes = bytearray(), bytearray()
    _write_node(tree.root, nodes, strings, names)
    nodes += struct.pack(">I", _END)
    reserved = b"".join(struct.pack(">QQ", *entry) for entry in [*tree.reserved, (0, 0)])
    # The block of reserved memory starts at a multiple of 8 bytes (section 5.1), which the header's 40 are.
    nodes_at = _HEADER.size + len(reserved)
    strings_at = nodes_at + len(nodes)
    header = _HEADER.pack(
        MAGIC,
        strings_at + len(strings),
        nodes_at,
        strings_at,
        _HEADER.size,
        VERSION,
        LAST_COMPATIBLE_VERSION,
        tree.boot_cpu,
        len(strings),
        len(nodes),
    )
    return header + reserved + bytes(nodes) + bytes(strings)


def _write_node(node: Node, nodes: bytearray, strings: bytearray, names: dict[str, int]) -> None:
    nodes += struct.pack(">I", _BEGIN_NODE) + _padded(node.name.encode() + b"\0")
    for name, value in node.properties.items():
        if name not in names:
            names[name] = len(strings)
            strings += name.encode() + b"\0"
        nodes += struct.pack(">III", _PROPERTY, len(value), names[name]) + _padded(value)
    for child in node.children:
        _write_node(child, nodes, strings, names)
    nodes += struct.pack(">I", _END_NODE)


def _padded(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % 4)


class _Reader:
    def __init__(self, blob: bytes) -> None:
        magic, total, self._at, self._strings_at, self._reserved_at, _, compatible, self._boot_cpu, _, _ = _HEADER.unpack_from(
            blob
        )
        if magic != MAGIC or total > len(blob) or compatible > VERSION:
            raise FlatTreeError(f"magic {magic:#x}, {total} of {len(blob)} bytes, compatible with version {compatible}")
        self._blob = blob[:total]

    def tree(self) -> FlatTree:
        if self._word() != _BEGIN_NODE:
            raise FlatTreeError("it does not start with a node")
        root = self._node(0)
        return FlatTree(root, list(self._reserved()), self._boot_cpu)

    def _reserved(self) -> Iterator[tuple[int, int]]:
        at = self._reserved_at
        while (entry := struct.unpack_from(">QQ", self._blob, at)) != (0, 0):
            yield entry[0], entry[1]
            at += 16

    def _node(self, depth: int) -> Node:
        if depth > DEEPEST:
            raise FlatTreeError(f"nodes more than {DEEPEST} deep")
        node = Node(self._text(self._at))
        self._skip(len(node.name.encode()) + 1)
        while (word := self._word()) != _END_NODE:
            if word == _BEGIN_NODE:
                node.children.append(self._node(depth + 1))
            elif word == _PROPERTY:
                length, name_at = self._word(), self._word()
                node.properties[self._text(self._strings_at + name_at)] = self._bytes(length)
            elif word != _NOTHING:
                raise FlatTreeError(f"unknown token {word:#x}")
        return node

    def _word(self) -> int:
        word: int = struct.unpack_from(">I", self._blob, self._at)[0]
        self._at += 4
        return word

    def _bytes(self, length: int) -> bytes:
        if self._at + length > len(self._blob):
            raise FlatTreeError(f"a property of {length} bytes goes beyond the end")
        value = self._blob[self._at : self._at + length]
        self._skip(length)
        return value

    def _skip(self, length: int) -> None:
        self._at += length + -length % 4

    def _text(self, start: int) -> str:
        return self._blob[start : self._blob.index(b"\0", start)].decode()
