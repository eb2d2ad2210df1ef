"""Asks the running kernel which kexec system calls it has. Loads and unloads nothing."""

import ctypes
import errno
import os
import struct
from pathlib import Path

from bootpilot_agent import sysfs
from bootpilot_agent.inventory import KexecCapability

# (machine as uname tells it, bits of this process) -> numbers of kexec_load and kexec_file_load.
# arch/*/entry/syscalls/*.tbl; arm64 and riscv64 use include/uapi/asm-generic/unistd.h.
SYSCALLS = {
    ("x86_64", 64): (246, 320),
    ("aarch64", 64): (104, 294),
    ("riscv64", 64): (104, 294),
    ("armv7l", 32): (347, 401),
    ("armv8l", 32): (347, 401),
    # A 32-bit agent on a 64-bit kernel uses the 32-bit table.
    ("aarch64", 32): (347, 401),
}
# kexec_load_check() refuses more than KEXEC_SEGMENT_MAX (16) segments, and kexec_file_load unknown flags, after the
# permission checks and before anything else, so these calls cannot do harm.
TOO_MANY_SEGMENTS = 1 << 20
UNKNOWN_FLAGS = 0xFFFF0000


def read_kexec_capability(root: Path = Path("/")) -> KexecCapability:
    """What this kernel can do; in a given tree, what its files tell (kexec_load only)."""
    real = root == Path("/")
    load, file_load = probe_syscalls() if real else (sysfs.exists(root / "sys/kernel/kexec_loaded"), False)
    return KexecCapability(load, file_load, _lockdown(sysfs.read_text(root / "sys/kernel/security/lockdown")))


def probe_syscalls() -> tuple[bool, bool]:
    """(kexec_load, kexec_file_load) work: the kernel has them, allows them to us, and lockdown does not forbid them."""
    numbers = SYSCALLS.get((os.uname().machine, 8 * struct.calcsize("P")))
    if numbers is None:
        return False, False
    load = _errno(numbers[0], 0, TOO_MANY_SEGMENTS, 0, 0)
    file_load = _errno(numbers[1], -1, -1, 0, 0, UNKNOWN_FLAGS)
    return load == errno.EINVAL, file_load == errno.EINVAL


def _errno(number: int, *arguments: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    ctypes.set_errno(0)
    libc.syscall(ctypes.c_long(number), *(ctypes.c_long(argument) for argument in arguments))
    return ctypes.get_errno()


def _lockdown(text: str) -> str:
    """`none [integrity] confidentiality` -> integrity."""
    marked = [word[1:-1] for word in text.split() if word.startswith("[") and word.endswith("]")]
    return marked[0][:32] if marked else ""
