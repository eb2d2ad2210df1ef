"""Reads what hardware the board has from /proc and /sys. Everything read is bounded and may be binary."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bootpilot_agent import disks, ethernet, sysfs
from bootpilot_agent.card import Card
from bootpilot_agent.cpus import read_cpu
from bootpilot_agent.evidence import is_placeholder
from bootpilot_agent.inventory import Board, Inventory
from bootpilot_agent.kexec_capability import read_kexec_capability
from bootpilot_agent.mark import Mark
from bootpilot_agent.traits import kexec_trouble

DEVICE_TREE = "sys/firmware/devicetree/base"
DMI = "sys/class/dmi/id"
# The system's names first; boards sold without a case leave them to the board's.
DMI_NAMES = (("sys_vendor", "product_name"), ("board_vendor", "board_name"))


def read_inventory(
    root: Path = Path("/"), card: Card | None = None, arch: str = "", marks: Mapping[str, Mark] | None = None
) -> Inventory:
    """The whole board. Every medium that holds the card's PARTUUID is marked as boot medium; `marks` are those of disks by
    name. Never raises.
    """
    board, cpu = read_board(root), read_cpu(root)
    return Inventory(
        board=board,
        cpu=cpu,
        memory_bytes=_memory_bytes(root),
        nics=tuple(ethernet.read_nic(name, root) for name in ethernet.ethernet_names(root)),
        disks=tuple(
            replace(
                disks.read_disk(name, root, boot_medium=card is not None and disks.holds(name, card.partuuid, root)),
                mark=(marks or {}).get(name),
            )
            for name in disks.disk_names(root)
        ),
        kexec=replace(read_kexec_capability(root), trouble=kexec_trouble(board, cpu, arch)[:500]),
    )


def read_board(root: Path = Path("/")) -> Board:
    """Model and `compatible`: from the device tree, else vendor and product from DMI.

    A tree without a model, as Linux 6.1's omap4-panda-a4, is called by its first `compatible`.
    """
    model = sysfs.read_text(root / DEVICE_TREE / "model")
    compatible = tuple(text[:128] for text in sysfs.read_strings(root / DEVICE_TREE / "compatible"))
    if model or compatible:
        return Board(model or compatible[0], compatible)
    for names in DMI_NAMES:
        known = tuple(sysfs.read_text(root / DMI / name, most=100) for name in names)
        if not any(is_placeholder(text) for text in known):
            return Board(" ".join(known), known)
    return Board("", ())


def _memory_bytes(root: Path) -> int:
    found = re.search(rb"^MemTotal:\s+(\d{1,15}) kB", sysfs.read_bytes(root / "proc/meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
