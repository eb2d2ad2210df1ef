"""Marks on a disk: found, destroyed as the first write, written as the last. Acts on an open disk only."""

from bootpilot_agent.fields import FieldError
from bootpilot_agent.mark import MARK_PARTITION_TYPE, Mark
from bootpilot_agent.partition_table import Partition
from bootpilot_install.block_device import BlockDevice
from bootpilot_install.contents import MarkPart
from bootpilot_install.errors import MarkError

# As much as a mark can take; with these bytes gone it is void.
MARK_BYTES = 8 << 10
# Where file systems, RAID, LVM and swap have what they are known by: some at the beginning, some at the end.
EDGE_BYTES = 1 << 20


def mark_partitions(device: BlockDevice) -> list[Partition]:
    """Those of the mark's type."""
    return [partition for partition in device.partitions() if partition.kind == MARK_PARTITION_TYPE]


def read_mark_parts(device: BlockDevice) -> tuple[MarkPart, ...]:
    """What each of them says. Raises OSError."""
    found = []
    for partition in mark_partitions(device):
        raw = device.read_at(partition.start_bytes, MARK_BYTES)
        try:
            mark = Mark.from_bytes(raw)
            found.append(MarkPart(partition.number, is_void=mark is None, node_id=mark.node_id if mark else ""))
        except FieldError as error:
            found.append(MarkPart(partition.number, is_void=False, trouble=str(error)))
    return tuple(found)


def destroy_marks(device: BlockDevice) -> int:
    """Every mark on the disk: first those in partitions, then, with all that the disk was known to hold, those in files.

    Returns how many partitions of the mark's type there were. Nothing that stood here is found any more afterwards. The table
    goes last: until then the void mark says that the disk was given away. Raises DiskError.
    """
    partitions = device.partitions()
    marks = mark_partitions(device)
    for partition in marks:
        device.zero(partition.start_bytes, MARK_BYTES)
    device.flush()
    for partition in partitions:
        device.zero(partition.start_bytes, min(EDGE_BYTES, partition.size_bytes))
        device.zero(partition.start_bytes + max(0, partition.size_bytes - EDGE_BYTES), min(EDGE_BYTES, partition.size_bytes))
    device.flush()
    device.zero(0, EDGE_BYTES)
    device.zero(device.size_bytes - EDGE_BYTES, EDGE_BYTES)
    device.flush()
    return len(marks)


def write_mark(device: BlockDevice, mark: Mark) -> None:
    """Into the one partition that is there for it, flushed and read back from the medium. Raises MarkError, DiskError."""
    partitions = mark_partitions(device)
    if len(partitions) != 1:
        raise MarkError(f"{device.path}: {len(partitions)} partitions of the mark's type, and one was made")
    (partition,) = partitions
    raw = mark.to_bytes().ljust(MARK_BYTES, b"\0")
    device.write_at(partition.start_bytes, raw)
    device.flush()
    check_mark(device.read_at(partition.start_bytes, MARK_BYTES), mark, str(device.path))


def check_mark(raw: bytes, mark: Mark, where: str) -> None:
    """Raises MarkError unless this is the mark as it was written."""
    try:
        found = Mark.from_bytes(raw)
    except FieldError as error:
        raise MarkError(f"{where}: the mark reads back damaged: {error}", "the disk is failing") from error
    if found != mark:
        raise MarkError(f"{where}: the mark reads back otherwise than it was written", "the disk is failing")
