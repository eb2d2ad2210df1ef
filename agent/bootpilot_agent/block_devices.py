"""The partitions of a board's disks, with what util-linux's blkid tells of them. Reads; writes nothing and mounts nothing."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent import disks, sysfs
from bootpilot_agent.devices import Run
from bootpilot_agent.errors import CommandError

PROBE_S = 20.0


@dataclass(frozen=True)
class BlockPartition:
    """One partition, or a whole disk without a table (`number` 0). `device` is its name in /dev."""

    disk: str
    device: str
    number: int = 0
    partuuid: str = ""
    kind: str = ""
    label: str = ""
    start_bytes: int = 0


@dataclass(frozen=True)
class Content:
    """What is on a partition: the name of its file system or other use, "" for nothing that libblkid knows."""

    kind: str = ""
    uuid: str = ""
    label: str = ""


def other_disks(card_partuuid: str, root: Path = Path("/")) -> list[str]:
    """All disks but the card and every other medium that has the card's PARTUUID, in the order of their places on the board."""
    names = [name for name in disks.disk_names(root) if not (card_partuuid and disks.holds(name, card_partuuid, root))]
    return sorted(names, key=lambda name: (sysfs.device_path(root / "sys/block" / name, root), name))


def partitions_of(disk: str, root: Path = Path("/")) -> list[BlockPartition]:
    """Those of the table that the kernel has made devices of; without a table the disk itself, which may hold a file system."""
    table = disks.partitions_of(disk, root)
    if not table:
        return [BlockPartition(disk, disk)]
    folder = root / "sys/block" / disk
    names = {sysfs.read_number(folder / name / "partition"): name for name in sysfs.list_names(folder) if name.startswith(disk)}
    return [
        BlockPartition(disk, names[row.number], row.number, row.partuuid, row.kind, row.label, row.start_bytes)
        for row in table
        if row.number in names
    ]


def all_partitions(card_partuuid: str, root: Path = Path("/")) -> list[BlockPartition]:
    """Those of every disk but the card."""
    return [partition for disk in other_disks(card_partuuid, root) for partition in partitions_of(disk, root)]


def probe(partition: BlockPartition, run: Run, root: Path = Path("/")) -> Content:
    """What blkid finds when it looks at the device itself, past any cache; nothing where it cannot tell, or not uniquely."""
    try:
        argv = probe_argv(root / "dev" / partition.device)
        text = run(argv, timeout_s=PROBE_S, check=False).stdout
    except CommandError:
        return Content()
    found = dict(re.findall(r"^(TYPE|UUID|LABEL)=(.*)$", text, re.MULTILINE))
    values = {name: re.sub(r"\\(.)", r"\1", value) for name, value in found.items()}
    return Content(values.get("TYPE", ""), values.get("UUID", ""), values.get("LABEL", ""))


def probe_argv(device: Path) -> list[str]:
    return ["blkid", "-p", "-o", "export", str(device)]


def describe(partitions: Sequence[BlockPartition]) -> str:
    return ", ".join(partition.device for partition in partitions)
