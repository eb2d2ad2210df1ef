"""Boards find in the loader what their own device trees ask for: network, card, disks, and the power and clocks of these."""

import fnmatch
import io
from dataclasses import dataclass
from pathlib import Path

import pytest

from bootpilot_agent.flat_tree import Node, read_tree
from initramfs.architectures import ARCHITECTURES
from initramfs.drivers import DRIVER_GROUPS
from initramfs.kernel import chosen_modules, fetch_kernel
from initramfs.kernel_modules import ModuleTree
from initramfs.packages import Packages
from initramfs.progress import Progress

BOARDS = [
    ("armhf", "omap4-panda.dtb"),
    ("armhf", "omap4-panda-es.dtb"),
    ("armhf", "imx53-qsb.dtb"),
    ("armhf", "imx53-qsrb.dtb"),
    ("armhf", "imx6q-sabrelite.dtb"),
    ("armhf", "vexpress-v2p-ca9.dtb"),
    ("armhf", "vexpress-v2p-ca15-tc1.dtb"),
    ("armhf", "sun8i-h3-orangepi-pc.dtb"),
    ("armhf", "sun4i-a10-cubieboard.dtb"),
    ("armhf", "sun8i-r40-bananapi-m2-ultra.dtb"),
    ("armhf", "bcm2836-rpi-2-b.dtb"),
    ("armhf", "am335x-boneblack.dtb"),
    ("arm64", "broadcom/bcm2837-rpi-3-b.dtb"),
    ("arm64", "broadcom/bcm2837-rpi-3-b-plus.dtb"),
    ("arm64", "broadcom/bcm2711-rpi-4-b.dtb"),
    ("arm64", "broadcom/bcm2711-rpi-cm4-io.dtb"),
    ("riscv64", "starfive/jh7110-starfive-visionfive-2-v1.2a.dtb"),
    ("riscv64", "starfive/jh7110-starfive-visionfive-2-v1.3b.dtb"),
    ("riscv64", "starfive/jh7110-milkv-mars.dtb"),
    ("riscv64", "sifive/hifive-unmatched-a00.dtb"),
]
# Folders of drivers below kernel/drivers that a loader may need to reach the network and a card.
NEEDED = (
    "ata clk gpio i2c/busses mfd mmc/host mux net/ethernet net/mdio net/phy nvme pci phy pinctrl regulator reset usb watchdog"
)
NOT_NEEDED = {
    "pata_of_platform": "a CompactFlash slot that QEMU does not have",
    "i2c_versatile": "a clock and a monitor's EEPROM",
    "vexpress_regulator": "voltages that are on from the start",
    "mux_mmio": "a camera's",
    "ti_abb_regulator": "the CPU's voltage at speeds above the one that the firmware chose",
    "omap2430": "the OTG socket, a device to other hosts",
    "sunxi": "the OTG socket, a device to other hosts",
    "clk_starfive_jh7110_isp": "a camera's",
    "clk_starfive_jh7110_vout": "a monitor's",
    "phy_jh7110_dphy_rx": "a camera's",
    "phy_jh7110_dphy_tx": "a monitor's",
}


@dataclass(frozen=True)
class Kernel:
    """A kernel's modules, those that the loader takes of them, and pairs of an alias for device trees and its module."""

    dtbs: Path
    tree: ModuleTree
    loader: frozenset[str]
    aliases: tuple[tuple[str, str], ...]


def read_kernel(arch: str) -> Kernel:
    architecture = ARCHITECTURES[arch]
    kernel = fetch_kernel(Packages(architecture, Progress(io.StringIO())), architecture, architecture.kernel_package)
    assert kernel.dtbs
    tree = ModuleTree(kernel.modules)
    needed = tree.matching(f"drivers/{folder}/*" for folder in NEEDED.split())
    loader = frozenset(module.name for module in chosen_modules(tree, tuple(g for g in DRIVER_GROUPS if g.standard)))
    aliases = tuple((alias, module.name) for module in needed for alias in module.aliases if alias.startswith("of:"))
    return Kernel(kernel.dtbs, tree, loader, aliases)


@pytest.fixture(scope="module")
def kernels() -> dict[str, Kernel]:
    return {arch: read_kernel(arch) for arch in dict(BOARDS)}


def enabled_nodes(node: Node) -> list[Node]:
    if node.properties.get("status", b"okay\0") not in (b"okay\0", b"ok\0"):
        return []
    return [node, *(found for child in node.children for found in enabled_nodes(child))]


def alias_of(node: Node) -> str:
    """What the kernel gives out for a device of this node (drivers/of/module.c, of_modalias)."""
    kind = node.properties.get("device_type", b"\0").rstrip(b"\0").decode()
    compatible = node.properties["compatible"].rstrip(b"\0").decode().split("\0")
    return f"of:N{node.name.split('@')[0]}T{kind}C" + "C".join(compatible)


@pytest.mark.parametrize(("arch", "dtb"), BOARDS)
def test_every_driver_that_a_board_s_tree_asks_for_is_in_the_loader(kernels: dict[str, Kernel], arch: str, dtb: str) -> None:
    kernel = kernels[arch]
    nodes = enabled_nodes(read_tree((kernel.dtbs / dtb).read_bytes()).root)
    asked = {alias_of(node) for node in nodes if "compatible" in node.properties}
    drivers = {name for pattern, name in kernel.aliases if any(fnmatch.fnmatchcase(alias, pattern) for alias in asked)}
    assert drivers - kernel.loader - set(NOT_NEEDED) == set()


def test_a_raspberry_pi_4_s_card_slot_has_its_supply(kernels: dict[str, Kernel]) -> None:
    assert "fixed" in kernels["arm64"].loader


def test_a_pandaboard_has_usb_ethernet_and_its_card(kernels: dict[str, Kernel]) -> None:
    for name in ("ehci_omap", "smsc95xx", "omap_hsmmc", "pbias_regulator"):
        assert name in kernels["armhf"].loader or kernels["armhf"].tree.is_built_in(name), name
