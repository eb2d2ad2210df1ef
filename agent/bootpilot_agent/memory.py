"""Reckons, before the first byte is fetched, whether a payload fits in this board's memory.

Reads /proc/meminfo and how much the RAM file system still takes, nothing else.

Two moments are tight:

  loading   the downloaded files stand in the RAM file system, kexec-tools reads them into its own memory, and the kernel copies
            them into the pages that it will jump to: about three bytes for each byte of payload.
  starting  the next kernel has all memory to itself, but holds its own image, the initrd as it was handed over, and, while it
            unpacks that, the files that come out.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent.errors import MemoryTooSmallError
from bootpilot_agent.plan import BootPayload
from bootpilot_agent.taps import tap

MEBIBYTE = 1 << 20
# boot.json and the cpio around it.
OWN_FILES_BYTES = 64 * 1024
# The tool itself, page tables, and the pages that the kernel never lends out even when MemAvailable counts them.
LOADING_RESERVE_BYTES = 12 * MEBIBYTE
# What a Debian kernel needs beside its image and files before its first program runs: page structures, slabs, per-CPU areas.
STARTING_RESERVE_BYTES = 24 * MEBIBYTE
# A plan that does not say how much an initrd unpacks to: xz and zstd initrds of Debian come out 2.5 to 3.5 times as large.
UNPACKING_GUESS = 3


@dataclass(frozen=True)
class KernelMemory:
    """How often a kernel's own size is allocated while kexec loads it and while it starts; what of the files the tool copies.

    Guesses, for the time before its header is there; `least_bytes` holds for both.
    """

    loading: float
    starting: float
    initrd_copied: bool
    kernel_copied: bool = True
    least_bytes: int = 0
    starting_least_bytes: int = 0


# Read in kexec-tools 2.0.25; the sizes are those of Debian's 6.1 kernels.
KERNEL_MEMORY = {
    # kexec-bzImage64.c asks for init_size, not the file's size: 63.6 MiB for Debian's bzImage of 7.9 MiB, 54 MB for one of
    # 14 MB elsewhere. slurp_file() copies the initrd.
    "amd64": KernelMemory(loading=4, starting=4, initrd_copied=True, least_bytes=64 * MEBIBYTE),
    # kexec-image-arm64.c asks for image_size: 33.6 MB for an Image of 33.0 MB. slurp_file() copies the initrd.
    "arm64": KernelMemory(loading=1.1, starting=1.1, initrd_copied=True),
    # kexec-zImage-arm.c asks for the zImage and 4 bytes and maps the initrd (slurp_file_mmap). The zImage unpacks to four times
    # its size, and the initrd stands above --image-size (see kexec.py).
    "armhf": KernelMemory(loading=1, starting=5, initrd_copied=False, starting_least_bytes=64 * MEBIBYTE),
    # kexec_call.py maps both files and asks for image_size: 31.9 MB for an Image of 31.2 MB (6.12).
    "riscv64": KernelMemory(loading=1.1, starting=1.1, initrd_copied=False, kernel_copied=False),
}


@dataclass(frozen=True)
class Memory:
    """What the board has: all of it, what is free for programs and files now, and what the file system takes (None: all)."""

    total_bytes: int
    available_bytes: int
    room_bytes: int | None = None


@dataclass(frozen=True)
class Sizes:
    """Bytes of a payload's files, and what its kernel takes in memory while it starts, as its own header says."""

    kernel: int
    initrd: int
    dtb: int
    kernel_in_memory: int


def read_memory(root: Path = Path("/"), folder: Path | None = None) -> Memory:
    """MemTotal and MemAvailable of /proc/meminfo; room in `folder`. Files in a RAM file system already count as used."""
    raw = (root / "proc/meminfo").read_bytes()
    tap().read(root / "proc/meminfo", raw)
    text = raw.decode("ascii", "replace")
    found = {name: int(kibibytes) * 1024 for name, kibibytes in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
    room_bytes = _room_bytes(folder) if folder else None
    return Memory(found.get("MemTotal", 0), found.get("MemAvailable", found.get("MemFree", 0)), room_bytes)


def _room_bytes(folder: Path) -> int | None:
    """None where nothing is told: a ramfs has no limit of its own, a tmpfs root has one at half of the memory."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize if status.f_blocks else None


def stored_bytes(payload: BootPayload) -> int:
    """What stands in the RAM file system when everything is fetched."""
    return payload.kernel.size_bytes + _initrd_bytes(payload) + (payload.dtb.size_bytes if payload.dtb else 0)


def loading_bytes(payload: BootPayload, arch: str) -> int:
    """The most that is in use on top of now until the jump: files, the tool's copies, the kernel's copies."""
    row = KERNEL_MEMORY[arch]
    kernel, initrds = payload.kernel.size_bytes, _initrd_bytes(payload)
    dtb = payload.dtb.size_bytes if payload.dtb else 0
    segments = max(int(kernel * row.loading), row.least_bytes)
    return stored_bytes(payload) + copies_bytes(Sizes(kernel, initrds, dtb, segments), arch)


def copies_bytes(sizes: Sizes, arch: str) -> int:
    """What kexec takes on top of the files: the tool's copies and the kernel's."""
    row = KERNEL_MEMORY[arch]
    tool = (sizes.kernel if row.kernel_copied else 0) + (sizes.initrd if row.initrd_copied else 0) + sizes.dtb
    return tool + sizes.kernel_in_memory + sizes.initrd + sizes.dtb + LOADING_RESERVE_BYTES


def starting_bytes(payload: BootPayload, arch: str) -> int:
    """What the next kernel needs until its first program runs."""
    row = KERNEL_MEMORY[arch]
    kernel = max(int(payload.kernel.size_bytes * row.starting), row.least_bytes, row.starting_least_bytes)
    unpacked = sum(initrd.unpacked_bytes or initrd.size_bytes * UNPACKING_GUESS for initrd in payload.initrds)
    files = sum(file.artifact.size_bytes for file in payload.files)
    return kernel + _initrd_bytes(payload) + unpacked + files + STARTING_RESERVE_BYTES


def check_fit(payload: BootPayload, arch: str, memory: Memory) -> None:
    """Raises MemoryTooSmallError that says what is needed and what is there."""
    loading, starting = loading_bytes(payload, arch), starting_bytes(payload, arch)
    if loading > memory.available_bytes:
        raise MemoryTooSmallError(
            f"{_mebibytes(loading)} needed to load the payload, {_mebibytes(memory.available_bytes)} available"
            f" ({_describe(payload)}; kept as files, read by kexec, and copied by the kernel)",
            "give this board a smaller kernel or initrd; a server rule can match on memory_bytes",
        )
    if memory.room_bytes is not None and stored_bytes(payload) > memory.room_bytes:
        raise MemoryTooSmallError(
            f"{_mebibytes(stored_bytes(payload))} needed to store the payload, the root file system takes"
            f" {_mebibytes(memory.room_bytes)} ({_describe(payload)})",
            "add rootfstype=ramfs to the loader's command line: a tmpfs root is limited to half of the memory",
        )
    if starting > memory.total_bytes:
        raise MemoryTooSmallError(
            f"{_mebibytes(starting)} needed to start the payload, the board has {_mebibytes(memory.total_bytes)} in all"
            f" ({_describe(payload)}; the next kernel holds the initrd and what it unpacks to at the same time)",
            "give this board a smaller initrd; a server rule can match on memory_bytes",
        )


def check_loading(sizes: Sizes, arch: str, memory: Memory) -> None:
    """The same for files that are there already, so exactly: an agent that the kernel kills for memory could tell nobody.

    Raises MemoryTooSmallError.
    """
    needed = copies_bytes(sizes, arch)
    if needed > memory.available_bytes:
        raise MemoryTooSmallError(
            f"{_mebibytes(needed)} needed to load the payload that was fetched, {_mebibytes(memory.available_bytes)} available"
            f" (kernel {_mebibytes(sizes.kernel)}, which takes {_mebibytes(sizes.kernel_in_memory)} in memory,"
            f" initrds {_mebibytes(sizes.initrd)}; read by kexec, and copied by the kernel)",
            "give this board a smaller kernel or initrd; a server rule can match on memory_bytes",
        )


def _initrd_bytes(payload: BootPayload) -> int:
    return sum(initrd.size_bytes for initrd in payload.initrds) + _file_bytes(payload)


def _file_bytes(payload: BootPayload) -> int:
    return sum(file.artifact.size_bytes for file in payload.files) + OWN_FILES_BYTES


def _describe(payload: BootPayload) -> str:
    initrds = sum(initrd.size_bytes for initrd in payload.initrds)
    return f"kernel {_mebibytes(payload.kernel.size_bytes)}, initrds {_mebibytes(initrds)}"


def _mebibytes(size_bytes: int) -> str:
    return f"{size_bytes / MEBIBYTE:.1f} MiB"
