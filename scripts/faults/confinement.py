"""Locks a process in before it plays a board: the agent jumps into kernels, reboots and loads modules, this machine must not.

Three walls, each enough by itself: the real user is not root, so no capability over the machine can be had whatever is done in
the namespaces; process, network, mount and user namespaces of its own; and where the board runs, the programs are replaced
(board_root.py). `prove_confined` tries the doors before anything is started, with calls that do no harm where one is open.
"""

import ctypes
import errno
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.faults.errors import ConfinementError

# linux/sched.h
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
# linux/prctl.h
PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG = 4, 38, 1
NOBODY = 65534
KINDS = ("user", "pid", "net", "mnt", "uts", "ipc")
# include/uapi/linux/kexec.h: KEXEC_SEGMENT_MAX is 16; what is wrong with a call is looked at after who may make it.
TOO_MANY_SEGMENTS, UNKNOWN_FLAGS = 1 << 20, 0xFFFF0000


@dataclass(frozen=True)
class Numbers:
    """Of system calls, arch/*/entry/syscalls/*.tbl."""

    kexec_load: int
    kexec_file_load: int
    init_module: int


NUMBERS = {"x86_64": Numbers(246, 320, 175), "aarch64": Numbers(104, 294, 105)}

LIBC = ctypes.CDLL(None, use_errno=True)


def namespaces() -> dict[str, str]:
    """Which namespaces this process is in, by kind."""
    return {kind: str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in KINDS}


def give_up_root() -> None:
    """From root to a user that owns nothing, for good. A plain user stays who it is. Raises OSError."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        # Else /proc/self belongs to root, and the maps of the user namespace cannot be written (proc(5), /proc/PID).
        prctl(PR_SET_DUMPABLE, 1)
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def enter_namespaces() -> None:
    """Into namespaces of its own, as their root; the next child is the first process there. Raises ConfinementError."""
    user, group = os.getuid(), os.getgid()
    if user == 0:
        raise ConfinementError("a board would be played by this machine's root")
    try:
        unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    except OSError as error:
        raise ConfinementError(
            f"no user namespace can be had here: {error.strerror}",
            "sysctl kernel.unprivileged_userns_clone=1, or kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu",
        ) from error


def prove_confined(outside: Mapping[str, str]) -> list[str]:
    """Try every door to the machine; returns what was tried and refused. `outside`: the machine's `namespaces()`.

    The namespaces come first: where those are the machine's own, nothing is tried at all. Raises ConfinementError.
    """
    for kind, name in namespaces().items():
        if name == outside[kind]:
            raise ConfinementError(f"the {kind} namespace is the machine's own")
    owner = Path("/proc/self/uid_map").read_text().split()
    if owner[1:] == ["0", "1"] or len(owner) != 3:
        raise ConfinementError(f"root in here is root outside (uid_map {' '.join(owner)})")
    return [name for name, door in DOORS.items() if _refused(name, door)]


def prctl(option: int, value: int) -> None:
    """Raises OSError."""
    _check(LIBC.prctl(option, value, 0, 0, 0))


def unshare(flags: int) -> None:
    """Raises OSError."""
    _check(LIBC.unshare(flags))


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _refused(name: str, door: Callable[[], object]) -> bool:
    try:
        door()
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES, errno.ENOENT, errno.ENOSYS, errno.EROFS):
            return True
        raise ConfinementError(f"{name}: refused for another reason than its right to: {error}") from error
    raise ConfinementError(f"{name}: allowed")


def _call(number: int, *arguments: int) -> None:
    _check(LIBC.syscall(ctypes.c_long(number), *(ctypes.c_long(argument) for argument in arguments)))


def _open_to_write(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY))  # nothing is written


def _first(folder: str, pattern: str) -> str:
    return next((str(path) for path in Path(folder).glob(pattern)), folder + "/none")


def _numbers() -> Numbers:
    return NUMBERS[os.uname().machine]


# Each of these comes back with an error that is not about rights (EINVAL, EFAULT), or does nothing, where it is allowed.
DOORS: dict[str, Callable[[], object]] = {
    "kexec_load": lambda: _call(_numbers().kexec_load, 0, TOO_MANY_SEGMENTS, 0, 0),
    "kexec_file_load": lambda: _call(_numbers().kexec_file_load, -1, -1, 0, 0, UNKNOWN_FLAGS),
    "init_module": lambda: _call(_numbers().init_module, 0, 0, 0),
    "clock_settime": lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()),
    "open /proc/sysrq-trigger": lambda: _open_to_write("/proc/sysrq-trigger"),
    "open /proc/sys/kernel/core_pattern": lambda: _open_to_write("/proc/sys/kernel/core_pattern"),
    "open /sys/power/state": lambda: _open_to_write("/sys/power/state"),
    "open a driver's unbind": lambda: _open_to_write(_first("/sys/bus", "*/drivers/*/unbind")),
    "open /dev/mem": lambda: _open_to_write("/dev/mem"),
    "open /dev/watchdog0": lambda: _open_to_write("/dev/watchdog0"),
}
