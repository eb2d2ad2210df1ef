"""Waits for the disks of the board to be there, and chooses. Writes nothing."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from bootpilot_agent.deadline import Deadline
from bootpilot_agent.install_order import Guard
from bootpilot_agent.inventory import Disk
from bootpilot_install.contents import Contents
from bootpilot_install.errors import GuardError
from bootpilot_install.guard import CardName, card_reason, choose_disk

POLL_S = 0.25


@dataclass(frozen=True)
class Patience:
    """A disk on USB answers some seconds after its bus; one of 3.5 inches spins up for ten: `late_s` for all. When none came
    for `quiet_s`, what is there is what there is.
    """

    late_s: float = 30.0
    quiet_s: float = 3.0


class ReadDisks(Protocol):
    """disk_reading.DiskReader, as far as it is used."""

    def disks(self) -> tuple[Disk, ...]: ...
    def contents(self, disk: Disk) -> Contents: ...


@dataclass(frozen=True)
class Wanted:
    """What is looked for, and for whom."""

    guard: Guard
    card: CardName
    node_id: str


def await_disk(reader: ReadDisks, wanted: Wanted, idle: Callable[[float], object], patience: Patience) -> Disk:
    """The one disk that fits, once no other has appeared for a while: a second one may come late, too.

    Raises GuardError when the time is over, and at once where more time cures nothing.
    """
    deadline = Deadline.after(patience.late_s)
    known: tuple[Disk, ...] = ()
    quiet = Deadline.after(patience.quiet_s)
    while True:
        now = reader.disks()
        if now != known:
            known, quiet = now, Deadline.after(patience.quiet_s)
        if quiet.passed():
            try:
                return look_once(reader, wanted, known)
            except GuardError:
                if deadline.passed() or len(_fitting_place(reader, wanted, known)) > 0:
                    raise
                quiet = Deadline.after(patience.quiet_s)
        idle(POLL_S)


def look_once(reader: ReadDisks, wanted: Wanted, disks: tuple[Disk, ...]) -> Disk:
    """Raises GuardError."""
    contents = {disk.name: reader.contents(disk) for disk in disks}
    marked = [replace(disk, boot_medium=bool(card_reason(disk, contents[disk.name], wanted.card))) for disk in disks]
    return choose_disk(marked, contents, wanted.guard, wanted.card, wanted.node_id)


def _fitting_place(reader: ReadDisks, wanted: Wanted, disks: tuple[Disk, ...]) -> list[Disk]:
    """Disks that only their number or their data speaks against."""
    found = []
    guard = replace(wanted.guard, wipe=True)
    for disk in disks:
        with suppress(GuardError):
            found.append(choose_disk([disk], {disk.name: reader.contents(disk)}, guard, wanted.card, wanted.node_id))
    return found
