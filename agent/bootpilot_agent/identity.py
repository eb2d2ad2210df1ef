"""Reads every piece of evidence about who this board is from /proc and /sys. Says nothing about what it is worth.

Each source is a row of SOURCES; `evidence.py` grades. Everything read is bounded and may be binary (`sysfs.py`).
"""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent import disks, ethernet, sysfs
from bootpilot_agent.addresses import DERIVED_MAC
from bootpilot_agent.evidence import Evidence, EvidenceKind, best_serial, grade_evidence
from bootpilot_agent.inventory import Transport

MAX_EVIDENCE = 100
# A disk of 3.5 inches that spins up takes so long.
SETTLE_S = 10.0
POLL_S = 0.25
DEVICE_TREE = "sys/firmware/devicetree/base"

# (path below the root, value) pairs.
Found = Iterator[tuple[str, str]]


def read_evidence(root: Path = Path("/")) -> tuple[Evidence, ...]:
    """All evidence, graded, in the order of EvidenceKind, each value once per kind. Never raises."""
    pieces: dict[tuple[EvidenceKind, str], Evidence] = {}
    for kind, read in SOURCES:
        for path, value in read(root):
            if value:
                pieces.setdefault((kind, value), grade_evidence(kind, value, f"/{path}"))
    order = list(EvidenceKind)
    return tuple(sorted(pieces.values(), key=lambda piece: order.index(piece.kind)))[:MAX_EVIDENCE]


def read_settled_evidence(
    root: Path, poll: Callable[[float], object], wait_s: float = SETTLE_S, clock: Callable[[], float] = time.monotonic
) -> tuple[Evidence, ...]:
    """The same before the network is started. A board with a random MAC and nothing else to tell it by waits for its disks.

    `poll(seconds)` is called meanwhile; drivers are loaded there.
    """
    end_s = clock() + wait_s
    while True:
        evidence = read_evidence(root)
        is_random = any(piece.kind is EvidenceKind.RANDOM_MAC for piece in evidence)
        if not is_random or best_serial(evidence) is not None or clock() >= end_s:
            return evidence
        poll(POLL_S)


def _file(path: str) -> Callable[[Path], Found]:
    def read(root: Path) -> Found:
        yield path, sysfs.read_text(root / path)

    return read


def _cpuinfo(root: Path) -> Found:
    # Only 32-bit ARM prints it (arch/arm/kernel/setup.c, c_show); zeros where firmware gave no serial number.
    text = sysfs.read_bytes(root / "proc/cpuinfo", 1 << 20).decode(errors="replace")
    for value in re.findall(r"^Serial[ \t]*:[ \t]*(\S+)", text, re.MULTILINE)[:1]:
        yield "proc/cpuinfo", value[:256]


def _soc(root: Path) -> Found:
    for name in sysfs.list_names(root / "sys/devices"):
        if re.fullmatch(r"soc\d+", name):
            path = f"sys/devices/{name}/serial_number"
            yield path, sysfs.read_text(root / path)


@dataclass(frozen=True)
class Eeprom:
    """Where a family of boards keeps its serial number."""

    compatible: str
    path: str
    magic: bytes
    offset: int
    length: int


EEPROMS = (
    # BeagleBone System Reference Manual, "EEPROM": AA 55 33 EE, 8 bytes name, 4 bytes version, 12 bytes serial number.
    Eeprom("ti,am335x-bone", "sys/bus/i2c/devices/0-0050/eeprom", b"\xaa\x55\x33\xee", 16, 12),
)


def _eeprom(root: Path) -> Found:
    compatible = sysfs.read_strings(root / DEVICE_TREE / "compatible")
    for row in EEPROMS:
        raw = sysfs.read_bytes(root / row.path, 64) if row.compatible in compatible else b""
        if raw.startswith(row.magic):
            # An erased part reads FF, which is no text.
            yield row.path, sysfs.clean_text(raw[row.offset : row.offset + row.length].rstrip(b"\xff"))


def _permanent_macs(root: Path) -> Found:
    for name in ethernet.ethernet_names(root):
        nic = ethernet.read_nic(name, root)
        if nic.addr_assign_type == ethernet.PERMANENT and nic.mac != ethernet.derived_mac(name, root):
            yield f"sys/class/net/{name}/address", nic.mac
    yield from _firmware_macs(root)


def _firmware_macs(root: Path) -> Found:
    """MACs that firmware wrote into the device tree, from fuses or derived from a die id (02:...); there before any driver."""
    aliases = root / DEVICE_TREE / "aliases"
    for alias in sysfs.list_names(aliases):
        node = sysfs.read_text(aliases / alias).strip("/")
        if not re.fullmatch(r"ethernet\d*", alias) or not node or ".." in node:
            continue
        if sysfs.exists(root / DEVICE_TREE / node / DERIVED_MAC):
            continue
        for key in ("mac-address", "local-mac-address"):
            path = f"{DEVICE_TREE}/{node}/{key}"
            yield path, ethernet.mac_property(root / path)


def _random_macs(root: Path) -> Found:
    for name in ethernet.ethernet_names(root):
        nic = ethernet.read_nic(name, root)
        # Type 3 is a MAC that was set later, by this agent among others: no evidence either. Nor is what a loader derived.
        if nic.addr_assign_type != ethernet.PERMANENT or nic.mac == ethernet.derived_mac(name, root):
            yield f"sys/class/net/{name}/address", nic.mac


def _disk_serials(root: Path) -> Found:
    for name in disks.disk_names(root):
        disk = disks.read_disk(name, root, boot_medium=False)
        # What hangs on USB moves from board to board as a card does, and card readers share one serial number.
        if disk.transport is not Transport.USB and not disks.is_sd_card(name, root):
            yield f"sys/block/{name}", disk.serial


def _card_cids(root: Path) -> Found:
    for name in disks.disk_names(root):
        if disks.is_sd_card(name, root):
            path = f"sys/block/{name}/device/cid"
            yield path, sysfs.read_text(root / path)


SOURCES: tuple[tuple[EvidenceKind, Callable[[Path], Found]], ...] = (
    (EvidenceKind.DT_SERIAL, _file(f"{DEVICE_TREE}/serial-number")),
    (EvidenceKind.DMI_UUID, _file("sys/class/dmi/id/product_uuid")),
    (EvidenceKind.DMI_PRODUCT_SERIAL, _file("sys/class/dmi/id/product_serial")),
    (EvidenceKind.DMI_BOARD_SERIAL, _file("sys/class/dmi/id/board_serial")),
    (EvidenceKind.SOC_SERIAL, _soc),
    (EvidenceKind.CPUINFO_SERIAL, _cpuinfo),
    (EvidenceKind.EEPROM_SERIAL, _eeprom),
    (EvidenceKind.MAC, _permanent_macs),
    (EvidenceKind.DISK_SERIAL, _disk_serials),
    (EvidenceKind.CARD_CID, _card_cids),
    (EvidenceKind.RANDOM_MAC, _random_macs),
)
