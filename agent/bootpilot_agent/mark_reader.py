"""Finds the marks of installations on the board's disks: partitions of the mark's type, else MARK_FILE in a root file system.

Reads a disk once, as long as it is the same disk: a report is made for each question, and nothing here changes a disk. Never
looks at the card, never replays a journal, never raises for what a disk holds.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent import sysfs
from bootpilot_agent.block_devices import BlockPartition, other_disks, partitions_of, probe
from bootpilot_agent.boot_files.entry import BootFileError
from bootpilot_agent.confined_tree import ConfinedTree
from bootpilot_agent.deadline import Deadline
from bootpilot_agent.devices import Run
from bootpilot_agent.errors import AgentError
from bootpilot_agent.fields import FieldError
from bootpilot_agent.file_systems import ROOT_KINDS, mounted
from bootpilot_agent.mark import MARK_FILE, MARK_PARTITION_TYPE, MAX_MARK_JSON_BYTES, Mark
from bootpilot_agent.taps import tap

HEAD_BYTES = 8192
# File systems of one disk that are looked into for MARK_FILE, and the time for all of them.
MOST_MOUNTED = 8
LOOKING_S = 30.0


@dataclass(frozen=True)
class DiskMark:
    """The valid mark of one disk, and the partition or file that holds it."""

    disk: str
    place: str
    mark: Mark


class MarkReader:
    """For as long as the agent runs. May be used from several threads."""

    def __init__(self, run: Run, say: Callable[[str], object], root: Path = Path("/")) -> None:
        self._run = run
        self._say = say
        self._root = root
        self._known: dict[tuple[str, ...], tuple[DiskMark, ...]] = {}
        self._reading = threading.Lock()

    def disks_there(self) -> tuple[tuple[str, ...], ...]:
        """Changes when a disk comes, goes, or is another one. Costs no access to a disk."""
        names = [name for name in sysfs.list_names(self._root / "sys/block") if not name.startswith(("loop", "ram"))]
        return tuple(self._key(name) for name in names)

    def read(self, card_partuuid: str) -> tuple[DiskMark, ...]:
        """The marks of all disks but the card; a disk that has two different ones has none."""
        with self._reading:
            found: list[DiskMark] = []
            for disk in other_disks(card_partuuid, self._root):
                key = self._key(disk)
                if key not in self._known:
                    self._known[key] = self._try_disk(disk)
                found += self._known[key]
            return tuple(found)

    def _try_disk(self, disk: str) -> tuple[DiskMark, ...]:
        """A boot must not fail for what one disk holds, not even by a fault of this program."""
        try:
            return self._read_disk(disk)
        except Exception as error:
            self._say(f"{disk}: its marks cannot be read: {type(error).__name__}: {error}")
            return ()

    def _key(self, disk: str) -> tuple[str, ...]:
        """diskseq is another one for each disk that is plugged in (Documentation/ABI/stable/sysfs-block, since 5.15)."""
        folder = self._root / "sys/block" / disk
        parts = [str(sysfs.read_number(folder / name / "size")) for name in sysfs.list_names(folder) if name.startswith(disk)]
        return (disk, str(sysfs.read_number(folder / "diskseq")), str(sysfs.read_number(folder / "size")), *parts)

    def _read_disk(self, disk: str) -> tuple[DiskMark, ...]:
        partitions = partitions_of(disk, self._root)
        own = [partition for partition in partitions if partition.kind == MARK_PARTITION_TYPE]
        found = [mark for partition in own if (mark := self._of_partition(partition))] if own else self._of_files(partitions)
        for mark in found:
            limit_s = mark.mark.autonomous_after_s
            alone = "never without a server" if limit_s is None else f"without a server after {limit_s} s"
            self._say(f"{disk}: the mark of install {mark.mark.install_id} in {mark.place}, started {alone}")
        if len({mark.mark for mark in found}) > 1:
            self._say(f"{disk}: it has {len(found)} marks that differ, so none of them counts")
            return ()
        return tuple(found[:1])

    def _of_partition(self, partition: BlockPartition) -> DiskMark | None:
        try:
            with (self._root / "dev" / partition.disk).open("rb") as device:
                device.seek(partition.start_bytes)
                head = device.read(HEAD_BYTES)
                tap().read_blocks(partition.disk, partition.start_bytes, head)
                mark = Mark.from_bytes(head)
        except (OSError, ValueError) as error:  # a FieldError is a ValueError
            self._say(f"{partition.device}: its mark does not count: {error}")
            return None
        return DiskMark(partition.disk, partition.device, mark) if mark else None

    def _of_files(self, partitions: list[BlockPartition]) -> list[DiskMark]:
        found = []
        deadline = Deadline.after(LOOKING_S)
        for partition in partitions[:MOST_MOUNTED]:
            if deadline.passed():
                self._say(f"{partition.disk}: no more time to look for {MARK_FILE}")
                break
            kind = probe(partition, self._run, self._root).kind
            if kind in ROOT_KINDS and (mark := self._of_file(partition, kind)):
                found.append(mark)
        return found

    def _of_file(self, partition: BlockPartition, kind: str) -> DiskMark | None:
        place = f"/{MARK_FILE} on {partition.device}"
        try:
            with mounted(partition.device, kind, self._run, self._root) as point:
                tree = ConfinedTree(point, partition.device)
                if not tree.is_file(f"/{MARK_FILE}"):
                    return None
                mark = Mark.from_file(tree.read(f"/{MARK_FILE}", MAX_MARK_JSON_BYTES))
        except (AgentError, BootFileError, FieldError) as error:
            # A file system that cannot be mounted is no news before somebody wants to start it.
            if not isinstance(error, AgentError):
                self._say(f"{place}: it does not count as a mark: {error}")
            return None
        return DiskMark(partition.disk, place, mark)
