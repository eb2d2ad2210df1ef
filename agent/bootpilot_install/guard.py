"""Which disk is written: exactly one that fits the order, never the card, never data that nobody gave away. No I/O here."""

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bootpilot_agent.install_order import Guard
from bootpilot_agent.inventory import Disk, Transport
from bootpilot_install.contents import Contents
from bootpilot_install.errors import GuardError

NOTHING_WRITTEN = "nothing was written"


@dataclass(frozen=True)
class CardName:
    """How the boot medium is told from a disk: every medium with its PARTUUID counts, and what has its place or its CID."""

    partuuid: str
    cid: str = ""
    path: str = ""


def choose_disk(disks: Sequence[Disk], contents: Mapping[str, Contents], guard: Guard, card: CardName, node_id: str) -> Disk:
    """The one disk that may be written. `contents` by the disk's name.

    Raises GuardError that lists every disk with what speaks against it.
    """
    reasons = {disk.name: list(_objections(disk, contents[disk.name], guard, card)) for disk in disks}
    fitting = [disk for disk in disks if not reasons[disk.name]]
    if len(fitting) != 1:
        raise GuardError(_summary(disks, fitting, guard) + _listed(disks, reasons), _hint(disks, fitting))
    (disk,) = fitting
    if (held := held_data(contents[disk.name], node_id)) and not guard.wipe:
        raise GuardError(
            f"{name_disk(disk)} holds data: {held}; {NOTHING_WRITTEN}",
            "if it may be destroyed, say wipe = true in the profile's [install.disk]",
        )
    return disk


def held_data(contents: Contents, node_id: str) -> str:
    """What stands on a disk that only `wipe` gives away, in words; "" for a blank disk and for one that an earlier,
    unfinished or replaced install of this node laid out.
    """
    if contents.damage:
        return contents.damage
    if contents.mark_parts and all(mark.is_void or mark.node_id == node_id for mark in contents.mark_parts):
        return ""
    strange = [
        f"a system of another node ({mark.node_id})" if mark.node_id else f"a mark that cannot be read ({mark.trouble})"
        for mark in contents.mark_parts
        if not mark.is_void and mark.node_id != node_id
    ]
    return "; ".join([*strange, *contents.found])


def name_disk(disk: Disk) -> str:
    """For a person: `sda (QEMU HARDDISK, 8.0 GiB, sata)`."""
    return f"{disk.name} ({', '.join(filter(None, (disk.model, gibibytes(disk.size_bytes), disk.transport)))})"


def gibibytes(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 30):.1f} GiB"


def _objections(disk: Disk, contents: Contents, guard: Guard, card: CardName) -> Iterator[str]:
    if why := card_reason(disk, contents, card):
        yield why
    if disk.transport not in guard.transports:
        yield f"is {disk.transport}, not {' or '.join(guard.transports)}"
    if not disk.size_bytes:
        yield "has no medium in it"
    elif disk.size_bytes < guard.min_bytes:
        yield f"has less than {gibibytes(guard.min_bytes)}"
    if contents.read_only:
        yield "is read-only"
    for what, pattern, value in (("model", guard.model, disk.model), ("serial", guard.serial, disk.serial)):
        if pattern and not fnmatch.fnmatchcase(value, pattern):
            yield f"{what} {value or 'unknown'} is not {pattern}"
    if guard.path and not fnmatch.fnmatchcase(disk.path, guard.path):
        yield f"path {disk.path} is not {guard.path}"


def card_reason(disk: Disk, contents: Contents, card: CardName) -> str:
    """Why this is the boot medium, or a copy of it; "" if it is not."""
    if disk.boot_medium or card.partuuid.lower() in contents.partuuids:
        return f"is the boot medium, or a copy of it (PARTUUID {card.partuuid})"
    if card.cid and disk.transport is Transport.MMC and disk.serial == card.cid:
        return "is the boot medium (CID)"
    if card.path and disk.path == card.path:
        return "is where the boot medium was"
    return ""


def _summary(disks: Sequence[Disk], fitting: Sequence[Disk], guard: Guard) -> str:
    wanted = wanted_disk(guard)
    if not disks:
        return f"there is no disk at all; wanted: {wanted}; {NOTHING_WRITTEN}"
    count = "no disk fits" if not fitting else f"{len(fitting)} disks fit"
    return f"{count}, and exactly one has to: {wanted}; {NOTHING_WRITTEN}"


def wanted_disk(guard: Guard) -> str:
    """The order's guard in words."""
    parts = [" or ".join(guard.transports)]
    if guard.min_bytes:
        parts.append(f"at least {gibibytes(guard.min_bytes)}")
    named = (("model", guard.model), ("serial", guard.serial), ("path", guard.path))
    parts += [f"{what} {value}" for what, value in named if value]
    return ", ".join(parts)


def _listed(disks: Sequence[Disk], reasons: Mapping[str, list[str]]) -> str:
    return "".join(f"\n  {name_disk(disk)}, {disk.path}: {'; '.join(reasons[disk.name]) or 'fits'}" for disk in disks)


def _hint(disks: Sequence[Disk], fitting: Sequence[Disk]) -> str:
    if fitting:
        return "name the one to be written by serial, model or path in the profile's [install.disk]"
    if not disks:
        return "is the disk connected and powered, and does this kernel have its driver?"
    return "change [install.disk] of the profile, or the disk"
