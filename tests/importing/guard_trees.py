"""Boards as a disk guard sees them: /sys, /dev with disks in files, and the agent's note; from one table for every guard."""

import json
import re
import struct
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bootpilot_agent.mark import MARK_PARTITION_TYPE, Mark

CASES = tomllib.loads((Path(__file__).parents[1] / "data/disk_guards/cases.toml").read_text())["case"]
MIB = 1 << 20
NODE, OTHER = "4993fa23-c9e7-4099-a268-cbbf16e1c2aa", "00000000-0000-4000-8000-00000000000b"
CARD = "0badcafe-0000-4000-8000-00000000ca4d"
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
# Where disks hang, by transport, as kernels show it.
PLACES = {
    "sata": "pci0000:00/0000:00:1f.2/ata{n}/host{n}/target{n}:0:0/{n}:0:0:0",
    "usb": "pci0000:00/0000:00:05.0/usb1/1-{n}/1-{n}:1.0/host{n}/target{n}:0:0/{n}:0:0:0",
    "nvme": "pci0000:00/0000:00:06.0/nvme/nvme{n}",
    "mmc": "platform/soc/1c0f000.mmc/mmc_host/mmc{n}/mmc{n}:0001",
    "virtio": "pci0000:00/0000:00:07.0/virtio{n}",
    "scsi": "pci0000:00/0000:00:08.0/host{n}/target{n}:0:0/{n}:0:0:0",
}


@dataclass(frozen=True)
class Tree:
    """A root folder with /sys, /dev and /bootpilot; `settings` is the guard's configuration for shells."""

    root: Path
    settings: dict[str, Any] = field(default_factory=dict)


def make_tree(root: Path, case: dict[str, Any]) -> Tree:
    """What a case of the table says."""
    (root / "dev").mkdir(parents=True)
    (root / "sys/block").mkdir(parents=True)
    (root / "bootpilot").mkdir()
    if case.get("note", True):
        note = {"version": 1, "node_id": NODE, "card_partuuid": case.get("card", CARD) or None}
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in note.items())
        (root / "bootpilot/boot.json").write_text("{\n" + lines + "\n}\n")
    for number, disk in enumerate(case["disk"], start=1):
        _add_disk(root, number, disk)
    settings = {"transports": "sata usb nvme", "min_gb": 0, "model": "", "serial": "", "path": "", "wipe": False}
    return Tree(root, settings | case.get("guard", {}))


def _add_disk(root: Path, number: int, disk: dict[str, Any]) -> None:
    name, transport = disk["name"], disk["transport"]
    place = root / "sys/devices" / PLACES[transport].format(n=number)
    block = place / "block" / name
    (block / "queue").mkdir(parents=True)
    size = disk.get("mib", 32) * MIB
    for path, text in (
        (block / "size", str(size // 512)),
        (block / "ro", "1" if disk.get("read_only") else "0"),
        (block / "queue/logical_block_size", "512"),
        (place / ("name" if transport == "mmc" else "model"), disk.get("model", "")),
    ):
        path.write_text(f"{text}\n")
    (block / "device").symlink_to("../..")
    (root / "sys/block" / name).symlink_to(Path("../..") / block.relative_to(root))
    _write_serial(place, block, transport, disk.get("serial", ""))
    with (root / "dev" / name).open("wb") as image:
        image.truncate(size)
    if size:
        CONTENTS[disk.get("holds", "nothing")](root / "dev" / name)


def _write_serial(place: Path, block: Path, transport: str, serial: str) -> None:
    match transport:
        case "mmc":
            (place / "cid").write_text(f"{serial}\n")
        case "nvme":
            (place / "serial").write_text(f"{serial:20}\n")
        case "virtio":
            (block / "serial").write_text(serial)
        case "usb":
            device = next(path for path in place.parents if re.fullmatch(r"1-\d", path.name))
            (device / "idVendor").write_text("0951\n")
            (device / "serial").write_text(f"{serial}\n")
        case _:
            (place / "vpd_pg80").write_bytes(struct.pack(">BBH", 0, 0x80, len(serial)) + serial.encode())


def gpt(image: Path, *partitions: str) -> None:
    _run("sfdisk", "--quiet", str(image), script="label: gpt\n" + "\n".join(partitions) + "\n")


def _run(*argv: str, script: str = "") -> None:
    done = subprocess.run(argv, input=script, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{argv}: {done.stderr}"


def _marked(image: Path, raw: bytes) -> None:
    gpt(image, f"start=2048, size=2048, type={MARK_PARTITION_TYPE}", f"size=16M, type={LINUX}")
    with image.open("r+b") as file:
        file.seek(MIB)
        file.write(raw)


def mark_of(node: str) -> bytes:
    return Mark(node, OTHER, "dt-serial", "02c000814a58bd80", "00000000-0000-4000-8000-00000000000c", None).to_bytes()


def _claimed(image: Path, node: str) -> None:
    gpt(image, f"size=16M, type={LINUX}")
    with image.open("r+b") as file:
        file.seek(MIB - 4096)
        file.write(f"bootpilot claim\n{node}\n".encode())


def _break_first_table(image: Path) -> None:
    gpt(image, f"size=16M, type={LINUX}, uuid={CARD}")
    with image.open("r+b") as file:
        file.seek(512)
        file.write(bytes(512))


CONTENTS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda image: None,
    "ext4": lambda image: _run("mke2fs", "-q", "-F", "-t", "ext4", str(image)),
    "swap": lambda image: _run("mkswap", str(image)),
    "table": lambda image: gpt(image, f"size=16M, type={LINUX}"),
    "msdos table": lambda image: _run("sfdisk", "--quiet", str(image), script="label: dos\nsize=16M, type=83\n"),
    "card": lambda image: gpt(image, f"size=16M, type={LINUX}, uuid={CARD.upper()}"),
    "card with a broken table": _break_first_table,
    "msdos card": lambda image: _run(
        "sfdisk", "--quiet", str(image), script="label: dos\nlabel-id: 0x1badf00d\nsize=16M, type=c\n"
    ),
    "own mark": lambda image: _marked(image, mark_of(NODE)),
    "other's mark": lambda image: _marked(image, mark_of(OTHER)),
    "void mark": lambda image: _marked(image, bytes(8192)),
}
# What only the guard in shell knows: another installer's unfinished work.
CLAIMS: dict[str, Callable[[Path], object]] = {
    "own claim": lambda image: _claimed(image, NODE),
    "other's claim": lambda image: _claimed(image, OTHER),
}
CONTENTS |= CLAIMS
