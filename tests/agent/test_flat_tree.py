"""Device trees as bytes and as nodes, beside the real compiler's opinion of both."""

import struct
import subprocess
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpilot_agent.flat_tree import FlatTree, FlatTreeError, Node, read_tree, write_tree

TIMEOUT_S = 60
SOURCE = """/dts-v1/;
/memreserve/ 0x80000000 0x40000;
/ {
    compatible = "acme,board", "acme,soc";
    #address-cells = <2>;
    chosen { bootargs = "quiet"; stdout-path = "/soc/serial@10000000"; };
    soc { serial@10000000 { reg = <0x0 0x10000000 0x0 0x100>; status = "okay"; empty; }; };
};
"""


def dtc(content: bytes, inside: str, outside: str) -> bytes:
    argv = ["dtc", "-q", "-I", inside, "-O", outside]
    return subprocess.run(argv, input=content, check=True, capture_output=True, timeout=TIMEOUT_S).stdout


@pytest.fixture(scope="module")
def blob() -> bytes:
    return dtc(SOURCE.encode(), "dts", "dtb")


def test_a_compiled_tree_is_read_with_its_nodes_properties_and_reservations(blob: bytes) -> None:
    tree = read_tree(blob)
    assert tree.reserved == [(0x80000000, 0x40000)]
    assert tree.root.properties["compatible"] == b"acme,board\0acme,soc\0"
    assert [node.name for node in tree.root.walk()] == ["", "chosen", "soc", "serial@10000000"]
    assert tree.root.child("soc").children[0].properties["empty"] == b""


def test_what_is_written_the_compiler_reads_as_the_same_tree(blob: bytes) -> None:
    assert dtc(write_tree(read_tree(blob)), "dtb", "dts") == dtc(blob, "dtb", "dts")


def test_a_missing_child_is_made_and_found_again() -> None:
    tree = FlatTree(Node(""))
    tree.root.child("chosen").properties["bootargs"] = b"panic=10\0"
    assert b'bootargs = "panic=10"' in dtc(write_tree(tree), "dtb", "dts")


@pytest.mark.parametrize("end", [0, 4, 39, 60, 100, -8])
def test_a_tree_that_was_cut_off_is_refused(blob: bytes, end: int) -> None:
    with pytest.raises(FlatTreeError):
        read_tree(blob[:end])


@given(st.integers(0, 500), st.binary(min_size=1, max_size=8))
def test_a_damaged_tree_is_read_or_refused_but_never_breaks_the_reader(at: int, damage: bytes) -> None:
    good = write_tree(FlatTree(Node("", {"model": b"x\0"}, [Node("chosen", {"bootargs": b"y\0"})]), [(1 << 32, 4096)]))
    bad = bytearray(good)
    bad[at % len(good) : at % len(good) + len(damage)] = damage
    with suppress(FlatTreeError):
        read_tree(bytes(bad))


def test_nodes_without_end_are_refused() -> None:
    header = struct.pack(">10I", 0xD00DFEED, 56 + 8000, 56, 56 + 8000, 40, 17, 16, 0, 0, 8000)
    with pytest.raises(FlatTreeError, match="deep"):
        read_tree(header + bytes(16) + struct.pack(">II", 1, 0) * 1000)
