"""Which partition of the board's disks a `local` plan, or a mark, means. Never one of the card.

Reads partition tables and what blkid says. A name that two partitions have names none: the kernel would take either.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from bootpilot_agent.block_devices import BlockPartition, all_partitions, describe, other_disks, partitions_of, probe
from bootpilot_agent.devices import Run
from bootpilot_agent.errors import LocalBootError
from bootpilot_agent.local_boot import Find, LocalBoot
from bootpilot_agent.mark import MARK_PARTITION_TYPE
from bootpilot_agent.mark_reader import DiskMark

_BY_DEVICE = {"by-uuid": "UUID", "by-label": "LABEL", "by-partuuid": "PARTUUID", "by-partlabel": "PARTLABEL"}


def find_partitions(
    local: LocalBoot, install_id: str | None, marks: Sequence[DiskMark], card_partuuid: str, run: Run, root: Path
) -> list[BlockPartition]:
    """The partitions to look at, in order; but for `Find.LOOKING` exactly one. Raises LocalBootError."""
    if local.find is Find.MARK:
        return [root_of(find_mark(marks, install_id), root)]
    partitions = all_partitions(card_partuuid, root)
    if local.find is Find.PARTITION:
        return [one_of(named(partitions, local.partition, run, root), local.partition, partitions)]
    if not other_disks(card_partuuid, root):
        raise LocalBootError("there is no disk but the card", "is the disk connected, and does it have power?")
    return [partition for partition in partitions if partition.kind != MARK_PARTITION_TYPE]


def find_mark(marks: Sequence[DiskMark], install_id: str | None) -> DiskMark:
    """The one with the install that is meant. Raises LocalBootError."""
    fitting = [mark for mark in marks if install_id in (None, mark.mark.install_id)]
    if len(fitting) == 1:
        return fitting[0]
    there = "; ".join(f"{mark.disk}: {mark.mark.install_id}" for mark in marks) or "no valid mark on any disk"
    wanted = f"the mark of install {install_id}" if install_id else "one mark of an installation"
    if fitting:
        hint = "a copy of a disk has the same mark and the same PARTUUIDs: take one of them out"
        raise LocalBootError(f"{wanted} expected once, found {len(fitting)} times ({there})", hint)
    hint = "is the disk connected? The server can reinstall the board, or adopt what is there"
    raise LocalBootError(f"{wanted} expected, found: {there}", hint)


def root_of(mark: DiskMark, root: Path) -> BlockPartition:
    """The root partition that the mark names, which is on its own disk. Raises LocalBootError."""
    partitions = partitions_of(mark.disk, root)
    found = [partition for partition in partitions if partition.partuuid == mark.mark.root_partuuid]
    return one_of(found, f"PARTUUID={mark.mark.root_partuuid}, which the mark on {mark.disk} names,", partitions)


def one_of(found: Sequence[BlockPartition], name: str, partitions: Sequence[BlockPartition]) -> BlockPartition:
    """Raises LocalBootError unless there is exactly one."""
    if len(found) == 1:
        return found[0]
    what = f"is {len(found)} partitions ({describe(found)})" if found else f"is on none of {describe(partitions) or 'no disk'}"
    raise LocalBootError(f"{name} {what}", "the card does not count; is the disk connected?" if not found else "")


def named(partitions: Sequence[BlockPartition], name: str, run: Run, root: Path) -> list[BlockPartition]:
    """Those that a name of fstab or root= means: `PARTUUID=`, `PARTLABEL=`, `UUID=`, `LABEL=`, or a link of /dev/disk/by-*."""
    key, _, value = _plain(name).partition("=")
    readers: dict[str, Callable[[BlockPartition], str]] = {
        "PARTUUID": lambda partition: partition.partuuid,
        "PARTLABEL": lambda partition: partition.label,
        "UUID": lambda partition: probe(partition, run, root).uuid,
        "LABEL": lambda partition: probe(partition, run, root).label,
    }
    read = readers.get(key)
    if read is None or not value:
        return []
    # UUIDs are written in either case, labels are not.
    same: Callable[[str], str] = str.lower if key.endswith("UUID") else str
    return [partition for partition in partitions if same(read(partition)) == same(value)]


def _plain(name: str) -> str:
    for folder, key in _BY_DEVICE.items():
        if name.startswith(f"/dev/disk/{folder}/"):
            return f"{key}={name.rpartition('/')[2]}"
    return name
