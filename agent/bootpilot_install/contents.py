"""What stands on a disk, as the guard has to know it. No I/O here; `disk_reading.py` finds it out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MarkPart:
    """A partition of the mark's type. `is_void`: never written, or destroyed; `node_id` is "" where it cannot be read."""

    number: int
    is_void: bool
    node_id: str = ""
    trouble: str = ""


@dataclass(frozen=True)
class Contents:
    """One disk. `found` names each thing that holds data, for a person: "partition table (gpt)", "sda2: ext4 (not cleanly
    unmounted)", "sda3: LVM2_member". `damage` says why the disk could not be looked at; then it counts as holding data.
    """

    found: tuple[str, ...] = ()
    mark_parts: tuple[MarkPart, ...] = ()
    partuuids: frozenset[str] = frozenset()
    read_only: bool = False
    damage: str = ""
