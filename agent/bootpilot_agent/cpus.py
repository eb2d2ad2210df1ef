"""Counts the CPUs: those that firmware describes and those that run. The loader runs on one (nr_cpus=1) and sees no others.

On ARM `possible` and `present` of /sys/devices/system/cpu shrink with nr_cpus, so firmware's own tables are asked first.
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path

from bootpilot_agent import sysfs
from bootpilot_agent.inventory import Cpu

DEVICE_TREE = "sys/firmware/devicetree/base"
MADT_LIMIT_BYTES = 1 << 18
MADT_HEADER_BYTES = 44
# ACPI 6.5, 5.2.12: type of a MADT entry -> offset of its flags, of which bit 0 says enabled.
MADT_CPU_FLAGS = {0: 4, 9: 8, 11: 12}  # Local APIC, Local x2APIC, GICC
MAX_CPUS = 65536


def read_cpu(root: Path = Path("/")) -> Cpu:
    """Model and counts. Never raises."""
    folder = root / "sys/devices/system/cpu"
    online = count_list(sysfs.read_text(folder / "online"))
    described = len(_device_tree_cpus(root)) or count_madt(
        sysfs.read_bytes(root / "sys/firmware/acpi/tables/APIC", MADT_LIMIT_BYTES)
    )
    possible = described or count_list(sysfs.read_text(folder / "possible"))
    return Cpu(_model(root), max(possible, online), online, _enable_method(root), _hotplug(folder))


def _enable_method(root: Path) -> str:
    """Of the first CPU that has one; on 32-bit ARM it may stand beside the CPUs instead (Documentation/arm/cpus.yaml)."""
    folders = [*_device_tree_cpus(root), root / DEVICE_TREE / "cpus"]
    return next((method for folder in folders if (method := sysfs.read_text(folder / "enable-method", most=64))), "")


def _hotplug(folder: Path) -> bool | None:
    """Whether the kernel could take away each CPU but the first; None where it knows of one only (nr_cpus=1).

    The file `online` is there exactly for those (drivers/base/cpu.c, register_cpu). What counts for kexec is what the kernel
    takes for possible, not what runs.
    """
    if count_list(sysfs.read_text(folder / "possible")) < 2:
        return None
    others = [name for name in sysfs.list_names(folder) if re.fullmatch(r"cpu[1-9]\d*", name)]
    return all(sysfs.exists(folder / name / "online") for name in others) if others else None


def count_list(text: str) -> int:
    """A list such as `0-3,5` -> 5; what is no list counts 0."""
    total = 0
    for first, last in re.findall(r"(?:^|,)(\d{1,6})(?:-(\d{1,6}))?", text):
        total += int(last or first) - int(first) + 1
    return max(0, min(total, MAX_CPUS))


def count_madt(table: bytes) -> int:
    """The enabled processors of ACPI's MADT; 0 if it is none."""
    if table[:4] != b"APIC":
        return 0
    return min(MAX_CPUS, sum(1 for entry in _madt_entries(table) if _is_enabled(entry)))


def _madt_entries(table: bytes) -> Iterator[bytes]:
    position = MADT_HEADER_BYTES
    while position + 2 <= len(table) and table[position + 1] >= 2:
        yield table[position : position + table[position + 1]]
        position += table[position + 1]


def _is_enabled(entry: bytes) -> bool:
    offset = MADT_CPU_FLAGS.get(entry[0])
    if offset is None or len(entry) < offset + 4:
        return False
    return bool(struct.unpack_from("<I", entry, offset)[0] & 1)


def _device_tree_cpus(root: Path) -> list[Path]:
    folder = root / DEVICE_TREE / "cpus"
    nodes = [folder / name for name in sysfs.list_names(folder) if name.startswith("cpu@")]
    return [node for node in nodes if sysfs.read_text(node / "status") in ("", "ok", "okay")]


def _model(root: Path) -> str:
    text = sysfs.read_bytes(root / "proc/cpuinfo", 1 << 16).decode(errors="replace")
    found = re.search(r"^model name[ \t]*:[ \t]*(.+)$", text, re.MULTILINE)
    if found:
        return sysfs.clean_text(found[1].encode())
    # arm64 prints numbers only; the device tree has the core's name.
    nodes = _device_tree_cpus(root)
    return next(iter(sysfs.read_strings(nodes[0] / "compatible")), "") if nodes else ""
