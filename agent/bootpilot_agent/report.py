"""Makes the report: what this agent can, who the board is, how it is connected. Draws nonces, reads build.json and the time."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bootpilot_agent import __version__
from bootpilot_agent.evidence import Evidence
from bootpilot_agent.inventory import Inventory
from bootpilot_agent.plan import LastAttempt, Lease, Report

# Debian's names for what the kernel calls the machine; the fallback where no build.json says it.
DEBIAN_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf", "riscv64": "riscv64"}

_ALWAYS = ("boot", "local", "mark", "wait", "reboot", "poweroff", "files", "dtb:running", "record")
_OWN_TREES = ("dtb:file", "dtb:file+fixups")
# dtb:* where a tree can be handed over; x86 kernels get none.
FEATURES = {
    "amd64": _ALWAYS,
    "arm64": (*_ALWAYS, *_OWN_TREES),
    "armhf": (*_ALWAYS, *_OWN_TREES),
    "riscv64": (*_ALWAYS, *_OWN_TREES),
}
# Boards whose firmware adds nothing to the tree that a plan's own one would lack. Elsewhere U-Boot writes memory, MACs and
# the ways to start the CPUs into it, and a kernel with the bare file stops without a word. QEMU's virt: hw/arm/virt.c.
UNTOUCHED_TREES = frozenset({"linux,dummy-virt", "riscv-virtio"})
# As firmware passed it, seeds wiped (drivers/of/fdt.c, of_fdt_raw_init); /proc/device-tree lacks the reserved memory.
RUNNING_TREE = "sys/firmware/fdt"


@dataclass(frozen=True)
class Build:
    """Which agent this is. `built_unix_s` is a time that has certainly passed: the floor for a clock without a battery."""

    arch: str
    agent_version: str
    build_id: str
    built_unix_s: int


@dataclass(frozen=True)
class Board:
    """What stays the same for as long as the agent runs. `earlier_loaders` are the builds before this one since power-on.

    `has_tree`: it runs with a device tree of its own, from which a plan's can be completed. `takes_bare_tree`: a plan's may go
    to it as it is. Both are the running machine's, whoever a test says that it is.
    """

    build: Build
    evidence: tuple[Evidence, ...]
    inventory: Inventory
    simulated: bool
    earlier_loaders: tuple[str, ...] = ()
    has_tree: bool = False
    takes_bare_tree: bool = False
    enrol: str = field(default="", repr=False)


@dataclass
class Boot:
    """One run of the agent's loop as the server knows it: its id, the token once a plan brought one, what it waits for."""

    boot_id: str
    last_attempt: LastAttempt | None = None
    token: str = ""
    waits_for: str = ""

    def renew(self) -> None:
        """The server does not know this boot any more: start another."""
        self.boot_id, self.token = new_boot_id(), ""


def read_build(root: Path = Path("/")) -> Build:
    """/etc/bootpilot/build.json; outside a loader (tests, a developer's machine) what this Python says. Never raises."""
    arch = DEBIAN_ARCHITECTURES.get(os.uname().machine, "amd64")
    try:
        found = json.loads((root / "etc/bootpilot/build.json").read_text(encoding="utf-8"))
        return Build(str(found["arch"]), str(found["agent_version"]), str(found["build_id"]), int(found["built_unix_s"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Build(arch, __version__, "unbuilt", 0)


def new_boot_id() -> str:
    """A random UUID for one run of the loop."""
    digits = os.getrandom(16).hex()
    # RFC 9562 section 5.4: version 4, variant 10. Importing `uuid` costs a small board a tenth of a second.
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[int(digits[16], 16) % 4]}{digits[17:20]}-{digits[20:]}"


def new_nonce() -> str:
    """32 bytes from the kernel. Blocks while the kernel has no entropy yet: a nonce that can be guessed is none."""
    return os.getrandom(32).hex()


def entropy_ready() -> bool:
    """False while getrandom(2) would block."""
    try:
        os.getrandom(1, os.GRND_NONBLOCK)
    except BlockingIOError:
        return False
    return True


def has_running_tree(root: Path = Path("/")) -> bool:
    """Does this board run with a device tree? Under UEFI with ACPI there is a file, but it describes no board."""
    return (root / RUNNING_TREE).is_file() and (root / "sys/firmware/devicetree/base/compatible").is_file()


def takes_bare_tree(compatible: Sequence[str]) -> bool:
    """Does the firmware of the machine with this `compatible` add nothing that a plan's tree would lack?"""
    return not UNTOUCHED_TREES.isdisjoint(compatible)


def features_of(board: Board) -> tuple[str, ...]:
    """What this agent can on this board."""
    here = {
        "dtb:file": board.takes_bare_tree,
        "dtb:file+fixups": board.has_tree,
    }
    return tuple(feature for feature in FEATURES[board.build.arch] if here.get(feature, True))


def make_report(board: Board, lease: Lease, boot: Boot) -> Report:
    """One question, with a fresh nonce."""
    return Report(
        boot_id=boot.boot_id,
        nonce=new_nonce(),
        arch=board.build.arch,
        agent_version=board.build.agent_version,
        build_id=board.build.build_id,
        features=features_of(board),
        evidence=board.evidence,
        inventory=board.inventory,
        lease=lease,
        clock_unix_s=int(time.time()),
        last_attempt=boot.last_attempt,
        simulated=board.simulated,
        loader_builds=(*board.earlier_loaders, board.build.build_id),
        enrol=board.enrol,
    )
