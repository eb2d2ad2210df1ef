"""Boards of tests/data/boards that nobody could capture agree with the device trees of Debian's kernel, node by node."""

import io
import re
from pathlib import Path

import pytest

from bootpilot_agent.flat_tree import Node, read_tree
from initramfs.architectures import ARCHITECTURES
from initramfs.kernel import fetch_kernel
from initramfs.packages import Packages
from initramfs.progress import Progress

BOARDS = Path(__file__).parents[1] / "data/boards"
TREES = {"pandaboard": "omap4-panda.dtb", "imx53-qsb": "imx53-qsb.dtb"}
BASE = "sys/firmware/devicetree/base"
# What firmware writes into the tree.
BY_FIRMWARE = frozenset({"local-mac-address"})
# A device that its own bus has named; what is below is no platform device.
OTHER_BUS = re.compile(r"usb\d+|mmc_host|ata\d+|net|host\d+")


@pytest.fixture(scope="module")
def dtbs() -> Path:
    architecture = ARCHITECTURES["armhf"]
    kernel = fetch_kernel(Packages(architecture, Progress(io.StringIO())), architecture, architecture.kernel_package)
    assert kernel.dtbs
    return kernel.dtbs


def words_of(value: bytes) -> list[int]:
    return [int.from_bytes(value[at : at + 4], "big") for at in range(0, len(value), 4)]


def joined(words: list[int]) -> int:
    return int.from_bytes(b"".join(word.to_bytes(4, "big") for word in words), "big")


def cells(node: Node, name: str) -> int:
    return joined(words_of(node.properties.get(f"#{name}-cells", bytes([0, 0, 0, 1]))))


def address_of(chain: list[Node]) -> int | None:
    """drivers/of/address.c, of_translate_address: the first address of `reg`, through the ranges of every bus above."""
    reg = words_of(chain[-1].properties.get("reg", b""))
    count = cells(chain[-2], "address")
    if not count or len(reg) < count:
        return None
    address = joined(reg[:count])
    for above, bus in zip(reversed(chain[:-2]), reversed(chain[1:-1]), strict=True):
        if "ranges" not in bus.properties:
            return None
        found = translated(address, bus, above)
        if found is None:
            return None
        address = found
    return address


def translated(address: int, bus: Node, above: Node) -> int | None:
    ranges = words_of(bus.properties["ranges"])
    own, outer, size = cells(bus, "address"), cells(above, "address"), cells(bus, "size")
    for at in range(0, len(ranges), own + outer + size):
        row = ranges[at : at + own + outer + size]
        first, there, length = joined(row[:own]), joined(row[own : own + outer]), joined(row[own + outer :])
        if first <= address < first + length:
            return address - first + there
    return None if ranges else address


def device_name(chain: list[Node]) -> str:
    """drivers/of/platform.c, of_device_make_bus_id."""
    name = ""
    for depth in range(len(chain), 1, -1):
        node, rest = chain[depth - 1], f":{name}" if name else ""
        address = address_of(chain[:depth])
        if address is not None:
            return f"{address:x}.{node.name.partition('@')[0]}{rest}"
        name = f"{node.name}{rest}"
    return name


def device_paths(chain: list[Node], above: str = "") -> dict[str, str]:
    """Path below /sys/devices/platform of every node that could be a platform device -> its path in the device tree."""
    found = {}
    for child in chain[-1].children:
        below = [*chain, child]
        place = f"{above}{device_name(below)}"
        found[place] = "/".join(node.name for node in below[1:])
        found |= device_paths(below, f"{place}/")
    return found


def properties_of(node: Node, above: str = "") -> dict[str, bytes]:
    found = {f"{above}{name}": value for name, value in node.properties.items()}
    for child in node.children:
        found |= properties_of(child, f"{above}{child.name}/")
    return found


@pytest.mark.parametrize("board", TREES)
def test_what_it_says_of_itself_stands_in_the_kernels_device_tree(board: str, dtbs: Path) -> None:
    root = BOARDS / board / "root" / BASE
    known = properties_of(read_tree((dtbs / TREES[board]).read_bytes()).root)
    nodes = {path.rpartition("/")[0] for path in known}
    said = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    by_firmware = {path for path in said if path.rpartition("/")[2] in BY_FIRMWARE}
    assert {path: known.get(path) for path in said.keys() - by_firmware} == {
        path: said[path] for path in said.keys() - by_firmware
    }
    assert {path.rpartition("/")[0] for path in by_firmware} <= nodes
    assert by_firmware


@pytest.mark.parametrize("board", TREES)
def test_its_devices_lie_where_the_kernel_puts_them(board: str, dtbs: Path) -> None:
    tree = read_tree((dtbs / TREES[board]).read_bytes())
    known = device_paths([tree.root])
    platform = BOARDS / board / "root/sys/devices/platform"
    ours = {own_device(path.relative_to(platform)) for path in platform.rglob("*")}
    assert ours - known.keys() == {""}
    assert all("compatible" in properties_of(node_at(tree.root, known[place])) for place in ours & known.keys())


def own_device(path: Path) -> str:
    """As far as it is platform devices; "" where that is not yet or no longer so."""
    at = next((number for number, part in enumerate(path.parts) if OTHER_BUS.fullmatch(part)), None)
    return "/".join(path.parts[:at]) if at else ""


def node_at(node: Node, path: str) -> Node:
    for name in path.split("/"):
        node = next(child for child in node.children if child.name == name)
    return node


@pytest.mark.parametrize("board", TREES)
def test_its_adapter_belongs_to_the_node_that_has_its_mac(board: str) -> None:
    root = BOARDS / board / "root"
    node = (root / "sys/class/net/eth0/device/of_node").resolve()
    mac = (root / "sys/class/net/eth0/address").read_text().strip()
    assert (node / "local-mac-address").read_bytes().hex(":") == mac
    assert node.is_relative_to((root / BASE).resolve())
