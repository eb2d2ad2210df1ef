"""The system calls of kexec, by number: kexec_load(2), kexec_file_load(2) and reboot(2). Decides nothing.

Every call raises OSError with the kernel's error number.
"""

import ctypes
import errno
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bootpilot_agent.kexec_capability import SYSCALLS

REBOOT_KEXEC = 0x45584543  # LINUX_REBOOT_CMD_KEXEC, include/uapi/linux/reboot.h


@dataclass(frozen=True)
class Segment:
    """What stands at `address` when the next kernel starts: `content`, and zeros up to `memory_bytes`."""

    name: str
    address: int
    memory_bytes: int
    content: bytearray | mmap.mmap


class KexecSystem(Protocol):
    """The kernel's door. Every call raises OSError with the kernel's error number."""

    def load(self, entry: int, segments: Sequence[Segment]) -> None: ...
    def load_files(self, kernel: int, initrd: int, command_line: str) -> None: ...
    def unload(self) -> None: ...
    def jump(self) -> None: ...


class _CSegment(ctypes.Structure):
    """struct kexec_segment, include/uapi/linux/kexec.h."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("bufsz", ctypes.c_size_t),
        ("mem", ctypes.c_void_p),
        ("memsz", ctypes.c_size_t),
    )


class SystemCalls:
    """The running kernel's calls, see kexec_load(2). The agent's other threads go on meanwhile."""

    def load(self, entry: int, segments: Sequence[Segment]) -> None:
        views = [(ctypes.c_char * len(segment.content)).from_buffer(segment.content) for segment in segments]
        rows = (_CSegment * len(segments))(
            *(
                _CSegment(ctypes.addressof(view), len(view), segment.address, segment.memory_bytes)
                for view, segment in zip(views, segments, strict=True)
            )
        )
        self._call(_number(0), entry, len(segments), ctypes.addressof(rows), 0)

    def load_files(self, kernel: int, initrd: int, command_line: str) -> None:
        text = ctypes.create_string_buffer(command_line.encode())
        # The length counts the NUL (kernel/kexec_file.c, kimage_file_prepare_segments).
        self._call(_number(1), kernel, initrd, len(text), ctypes.addressof(text), 0)

    def unload(self) -> None:
        self._call(_number(0), 0, 0, 0, 0)

    def jump(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.reboot(ctypes.c_int(REBOOT_KEXEC)) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def _call(self, number: int, *arguments: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syscall(ctypes.c_long(number), *(ctypes.c_ulong(argument) for argument in arguments)) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


SYSTEM = SystemCalls()


def _number(which: int) -> int:
    row = SYSCALLS.get((os.uname().machine, 8 * ctypes.sizeof(ctypes.c_void_p)))
    if row is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    return row[which]
