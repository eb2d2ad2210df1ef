"""Loads the payload by the kernel's own system calls, where Debian has no kexec program, and jumps.

WAYS is the table of who loads what, and why. Reads the running device tree and /proc/iomem; kexec_syscalls.py does the calls.
"""

import errno
import mmap
import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from bootpilot_agent.errors import KexecError, KexecReturnedError
from bootpilot_agent.flat_tree import FlatTreeError, read_tree, write_tree
from bootpilot_agent.inventory import KexecCapability
from bootpilot_agent.kexec_segments import PAGE_BYTES, Piece, Range, free_ranges, kernel_piece, place, round_up
from bootpilot_agent.kexec_syscalls import KexecSystem, Segment
from bootpilot_agent.kexec_tree import KASLR_SEED_BYTES, SEED_BYTES, hand_on
from bootpilot_agent.payload import Payload

HEAD_BYTES = 64


@dataclass(frozen=True)
class Way:
    """Who loads a kernel on an architecture: the program kexec, or the agent by itself."""

    by_agent: bool
    why: str


WAYS = {
    "amd64": Way(
        False, "kexec-tools builds the boot parameters (memory map, screen, ACPI, EFI) that a bzImage wants, and purgatory"
    ),
    "arm64": Way(
        False, "kexec-tools knows where the firmware's reservations lie, and brings the purgatory that the jump needs"
    ),
    "armhf": Way(False, "kexec-tools moves the initrd and the tree out of the unpacking zImage's way"),
    # machine_kexec_prepare() in arch/riscv/kernel/machine_kexec.c looks for the tree among the segments, and the jump hands
    # the hart's number (a0) and the tree's address (a1) over as the kernel's entry wants them: no purgatory is needed.
    # kexec_load: Debian 13's 6.12 has no kexec_file_load (CONFIG_KEXEC_FILE), and where it is there, kernels older than 6.16
    # take only an ELF vmlinux by it. It is used where a locked-down kernel allows nothing else.
    "riscv64": Way(True, "Debian has no kexec-tools for riscv64"),
}


@dataclass(frozen=True)
class Refusal:
    """What an error number of these calls means to a person."""

    meaning: str
    hint: str = ""


REFUSALS = {
    errno.EPERM: Refusal(
        "the running kernel forbids kexec", "is it locked down (Secure Boot), or kernel.kexec_load_disabled set?"
    ),
    errno.EBUSY: Refusal("another image is being loaded, or CPUs are stuck in the running kernel", "the agent tries again"),
    errno.EINVAL: Refusal(
        "the kernel cannot park its other CPUs, or takes this image for unusable",
        "is the image larger than half of the memory? Loader entries of boards whose CPUs cannot be stopped need nr_cpus=1",
    ),
    errno.EADDRNOTAVAIL: Refusal("the image would lie where there is no memory", "give this board a smaller initrd"),
    errno.ENOMEM: Refusal("out of memory", "give this board a smaller kernel or initrd"),
    errno.ENOEXEC: Refusal(
        "the running kernel does not know this format", "boot a kernel that kexec_file_load takes, or no lockdown"
    ),
    errno.ENOSYS: Refusal("the running kernel has no kexec", "the loader needs a kernel with CONFIG_KEXEC"),
    errno.EKEYREJECTED: Refusal("the image is not signed by a key that this kernel trusts", "boot a signed kernel"),
}


def load(payload: Payload, capability: KexecCapability, system: KexecSystem, root: Path = Path("/")) -> None:
    """Raises KexecError that says in plain words what is wrong."""
    try:
        if capability.file_load and not capability.load:
            _load_files(payload, system)
        else:
            _load_segments(payload, system, root)
    except OSError as error:
        raise explain(error) from error


def unload(system: KexecSystem) -> None:
    """Free what is loaded. What the kernel does not let go of is no error: the next load says what is wrong."""
    with suppress(OSError):
        system.unload()


def jump(system: KexecSystem) -> NoReturn:
    """Into the next kernel. Always raises KexecReturnedError: who comes back here has failed."""
    try:
        system.jump()
    except OSError as error:
        raise KexecReturnedError(f"the kernel did not jump: {explain(error).message}") from error
    raise KexecReturnedError("the kernel came back from its jump", "the board reboots into the loader")


def explain(error: OSError) -> KexecError:
    """The kernel's answer -> an error for people, with the number's name."""
    name = errno.errorcode.get(error.errno or 0, "no error number")
    row = REFUSALS.get(error.errno or 0, Refusal(error.strerror or "no error text"))
    return KexecError(f"{row.meaning} ({name})", row.hint)


def _load_files(payload: Payload, system: KexecSystem) -> None:
    if payload.dtb is not None:
        raise KexecError(
            "kexec_file_load takes no device tree, and the plan brings one", "a locked-down kernel allows nothing else"
        )
    with payload.kernel.open("rb") as kernel, payload.initrd.open("rb") as initrd:
        system.load_files(kernel.fileno(), initrd.fileno(), payload.command_line)


def _load_segments(payload: Payload, system: KexecSystem, root: Path) -> None:
    with ExitStack() as opened:
        kernel, initrd = (opened.enter_context(_mapped(path)) for path in (payload.kernel, payload.initrd))
        segments = plan_segments(payload, kernel, initrd, root)
        try:
            system.load(segments[0].address, segments)
        finally:
            segments.clear()  # they hold the files' maps


def plan_segments(payload: Payload, kernel: mmap.mmap, initrd: mmap.mmap, root: Path) -> list[Segment]:
    """Kernel, device tree and initrd at their places; the kernel comes first. Raises KexecError."""
    blob = _tree(payload, Range(0, len(initrd)), root)
    pieces = (kernel_piece(kernel[:HEAD_BYTES], len(kernel)), Piece("device tree", len(blob)), Piece("initrd", len(initrd)))
    addresses = place(pieces, free_ranges((root / "proc/iomem").read_text(encoding="ascii")))
    # Addresses have a fixed width: the tree stays as long as it was measured.
    blob = _tree(payload, Range(addresses["initrd"], addresses["initrd"] + len(initrd)), root)
    contents: dict[str, bytearray | mmap.mmap] = {"kernel": kernel, "device tree": bytearray(blob), "initrd": initrd}
    return [
        Segment(piece.name, addresses[piece.name], round_up(piece.size_bytes, PAGE_BYTES), contents[piece.name])
        for piece in pieces
    ]


def _tree(payload: Payload, initrd: Range, root: Path) -> bytes:
    path = payload.dtb or root / "sys/firmware/fdt"
    try:
        tree = read_tree(path.read_bytes())
    except FileNotFoundError as error:
        raise KexecError("this board was started without a device tree", "the plan must bring one (dtb policy file)") from error
    except FlatTreeError as error:
        raise KexecError(f"{path}: {error}", "the tree in the plan must be what dtc writes with -O dtb") from error
    hand_on(tree, payload.command_line, initrd, os.urandom(SEED_BYTES + KASLR_SEED_BYTES))
    return write_tree(tree)


def _mapped(path: Path) -> mmap.mmap:
    """The file as memory, without a copy of it. Private and writable, which is what ctypes can point at."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
