"""What a plan's device tree takes from the running one: FIXUPS, the table. Changes trees in memory. No I/O here.

A tree as the kernel's package has it describes a kind of board. What this board has (memory, addresses, a serial number, the
way to start its CPUs) its firmware wrote into the tree that the loader runs with, and a kernel without it is silent or
lame. Overlays have been applied before, as U-Boot does; then the rows follow in order.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bootpilot_agent.errors import PlanError
from bootpilot_agent.flat_tree import FlatTree
from bootpilot_agent.tree_carry import (
    carry_bus_windows,
    carry_chosen,
    carry_cpus,
    carry_firmware,
    carry_framebuffers,
    carry_psci,
    carry_serial,
    note_switches,
)
from bootpilot_agent.tree_macs import carry_macs
from bootpilot_agent.tree_memory import Running, carry_memory, carry_reservations, carry_reserved_memory
from bootpilot_agent.tree_nodes import strings

# Changes the plan's tree; gives what a person should know of it.
Carry = Callable[[Running, FlatTree], list[str]]


@dataclass(frozen=True)
class Fixup:
    """One row: what is carried over, why a kernel needs it, and how."""

    name: str
    reason: str
    carry: Carry


def fix_up(plan: FlatTree, running: Running, seed: bytes) -> list[str]:
    """Make the plan's tree one of this board. Gives what could not be carried over, for the console.

    `seed` are fresh random bytes for /chosen. Raises PlanError for a tree of another board, or one that cannot hold a value.
    """
    check_compatible(plan, running)
    plan.boot_cpu = running.tree.boot_cpu
    notes = [note for row in FIXUPS for note in row.carry(running, plan)]
    plan.root.child("chosen").properties["rng-seed"] = seed
    return notes


def check_compatible(plan: FlatTree, running: Running) -> None:
    """Raises PlanError if the root nodes have no `compatible` in common: memory and pins of another board would be believed."""
    ours, theirs = (strings(root.properties.get("compatible", b"")) for root in (running.root, plan.root))
    if not set(ours) & set(theirs):
        names = [", ".join(each) or "no board" for each in (theirs, ours)]
        raise PlanError(
            f"the plan's device tree is for {names[0]}, and this board is {names[1]}",
            "give this board a profile with its own tree, or with the policy running",
        )


FIXUPS = (
    Fixup(
        "memory",
        "Debian's trees have none, or the smallest variant's: firmware counts it. Without it the kernel is silent.",
        carry_memory,
    ),
    Fixup(
        "/reserved-memory",
        "firmware that stays resident (TF-A, OP-TEE, OpenSBI) and buffers that it has filled; touching them is a fault.",
        carry_reserved_memory,
    ),
    Fixup("/memreserve/", "the same in the older form, among it the Raspberry Pi's spin table at 0.", carry_reservations),
    Fixup(
        "/psci",
        "written by who implements it (U-Boot, TF-A): a kernel that calls firmware which is not there hangs, and one that does "
        "not know of it has one CPU.",
        carry_psci,
    ),
    Fixup(
        "/cpus",
        "enable-method and cpu-release-addr, per CPU and for all: how firmware wants CPUs started; harts that it keeps for "
        "itself are disabled; the timebase where only firmware knows it.",
        carry_cpus,
    ),
    Fixup("serial number", "the board's identity: /serial-number, and /system on a Raspberry Pi.", carry_serial),
    Fixup(
        "MAC addresses",
        "of what /aliases/ethernet* name: from fuses, or derived from a serial number; or else the driver takes a random one "
        "and the board a new lease at each boot.",
        carry_macs,
    ),
    Fixup(
        "/chosen",
        "UEFI's tables and memory map, without which a kernel under UEFI has no memory; the console, if the plan's tree names "
        "none. Never the loader's command line, initrd, crash ranges; seeds are fresh.",
        carry_chosen,
    ),
    Fixup("framebuffers", "the screen that firmware has set up, in memory which it has set apart.", carry_framebuffers),
    Fixup(
        "/firmware",
        "interfaces to what is resident (OP-TEE), as far as they point at nothing else in the tree.",
        carry_firmware,
    ),
    Fixup(
        "bus windows",
        "dma-ranges of emmc2bus and pcie0 on a BCM2711: firmware writes them by the chip's stepping (comment in bcm2711.dtsi); "
        "wrong ones corrupt memory.",
        carry_bus_windows,
    ),
    Fixup(
        "switches",
        "`status` of devices stays as the plan has it: it is the plan's tree. The differences are told.",
        note_switches,
    ),
)


def describe() -> Iterator[str]:
    """The table's rows for the documentation."""
    yield "| carried over | why |"
    yield "|---|---|"
    yield from (f"| {row.name} | {row.reason} |" for row in FIXUPS)
