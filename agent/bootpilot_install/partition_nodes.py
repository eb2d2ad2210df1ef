"""The device nodes of a disk's partitions, once the kernel has read the table anew. Waits for devtmpfs."""

import errno
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from bootpilot_agent import sysfs
from bootpilot_agent.partition_table import Partition
from bootpilot_install.block_device import BlockDevice
from bootpilot_install.errors import DiskError

# Others (a probing kernel thread, udev where there is one) hold a partition for moments.
BUSY_S = 15.0
APPEAR_S = 15.0
POLL_S = 0.1
# /sys/block/*/*/start counts in these whatever the sector size.
SYSFS_SECTOR = 512


class PartitionNodes(Protocol):
    """Makes the kernel read the table, and says where the partitions are, by number. Raises DiskError."""

    def reread(self, device: BlockDevice) -> dict[int, Path]: ...


class KernelNodes:
    """The kernel's own, as on every board."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def reread(self, device: BlockDevice) -> dict[int, Path]:
        deadline_s = time.monotonic() + BUSY_S
        while True:
            try:
                device.reread_table()
                break
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() >= deadline_s:
                    raise DiskError(
                        f"{device.path}: the kernel does not read the new partition table: {error.strerror}",
                        "does something on this disk run already (RAID, LVM, swap)?",
                    ) from error
            time.sleep(POLL_S)
        return self.wait_for(device.path.name, device.partitions())

    def wait_for(self, disk: str, table: Sequence[Partition]) -> dict[int, Path]:
        """Until each has its node. Raises DiskError."""
        deadline_s = time.monotonic() + APPEAR_S
        while True:
            found = self._find(disk, table)
            if len(found) == len(table):
                return found
            if time.monotonic() >= deadline_s:
                missing = ", ".join(str(row.number) for row in table if row.number not in found)
                raise DiskError(f"/dev/{disk}: no device appeared for partition {missing}")
            time.sleep(POLL_S)

    def _find(self, disk: str, table: Sequence[Partition]) -> dict[int, Path]:
        starts = {row.number: row.start_bytes for row in table}
        found = {}
        folder = self._root / "sys/block" / disk
        for name in sysfs.list_names(folder):
            number = sysfs.read_number(folder / name / "partition")
            start = sysfs.read_number(folder / name / "start")
            node = self._root / "dev" / name
            # One that still lies where the old table had it is not the one that is meant.
            if number in starts and start is not None and start * SYSFS_SECTOR == starts[number] and node.is_block_device():
                found[number] = node
        return found
