"""Looks at every disk of the board: what it is, and what stands on it. Opens disks for reading only."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent import disks, sysfs
from bootpilot_agent.devices import Run
from bootpilot_agent.errors import AgentError
from bootpilot_agent.inventory import Disk
from bootpilot_agent.partition_table import Partition
from bootpilot_install import signatures
from bootpilot_install.block_device import BlockDevice, open_disk
from bootpilot_install.contents import Contents
from bootpilot_install.marks import read_mark_parts

PROBE_S = 30.0
EXT4_HEAD_BYTES = 4096
# An extended partition of an MBR table holds others, which are listed by themselves.
EXTENDED = ("05", "0f", "85")


@dataclass(frozen=True)
class DiskReader:
    """`root` is where /sys and /dev are; `run` starts blkid."""

    run: Run
    root: Path = Path("/")

    def disks(self) -> tuple[Disk, ...]:
        """All that could hold a system. Never raises."""
        return tuple(disks.read_disk(name, self.root, boot_medium=False) for name in disks.disk_names(self.root))

    def device(self, disk: Disk) -> Path:
        return self.root / "dev" / disk.name

    def contents(self, disk: Disk) -> Contents:
        """What stands on it; a disk that cannot be read is damaged. Never raises for what a disk holds."""
        if not disk.size_bytes:
            return Contents()
        read_only = sysfs.read_number(self.root / "sys/block" / disk.name / "ro") == 1
        try:
            with open_disk(self.device(disk)) as device:
                partitions = device.partitions()
                return Contents(
                    found=tuple(self._found(disk, device, partitions)),
                    mark_parts=read_mark_parts(device),
                    partuuids=frozenset(partition.partuuid for partition in partitions),
                    read_only=read_only,
                )
        except (AgentError, OSError, ValueError) as error:
            return Contents(read_only=read_only, damage=f"it cannot be read: {getattr(error, 'message', error)}")

    def _found(self, disk: Disk, device: BlockDevice, partitions: tuple[Partition, ...]) -> Iterator[str]:
        yield from self._probe(device, 0, device.size_bytes)
        for partition in partitions:
            if partition.kind in EXTENDED:
                continue
            separator = "p" if disk.name[-1].isdigit() else ""
            for what in self._probe(device, partition.start_bytes, partition.size_bytes):
                yield f"{disk.name}{separator}{partition.number}: {what}"

    def _probe(self, device: BlockDevice, start_bytes: int, size_bytes: int) -> Iterator[str]:
        if size_bytes <= 0 or start_bytes >= device.size_bytes:
            return
        place = ["--offset", str(start_bytes), "--size", str(min(size_bytes, device.size_bytes - start_bytes))]
        done = self.run(["blkid", "-p", "-o", "export", *place, str(device.path)], timeout_s=PROBE_S, check=False)
        dirty = signatures.unclean(device.read_at(start_bytes, EXT4_HEAD_BYTES))
        for what in signatures.describe(done.returncode, done.stdout):
            yield f"{what} ({dirty})" if dirty and what.startswith("ext") else what
