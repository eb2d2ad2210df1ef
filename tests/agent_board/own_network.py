"""Lets a test have network namespaces of its own, with real cables, real DHCP servers and busybox's real client in them.

The decorated test runs in a forked process that is PID 1 of its own PID namespace: whatever it started ends with it.
"""

import ctypes
import functools
import os
import shutil
import subprocess
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import pytest

from bootpilot_agent import console

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
BUSYBOX_APPLETS = ("ip", "udhcpc")
BIN = Path("/run/board-bin")

Arguments = ParamSpec("Arguments")


def _fork() -> int:
    """Python 3.12 and later warn of threads, such as the one by which pytest-xdist hears of a worker; the child uses none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def in_own_network(test: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Run the test in fresh network, mount, PID and (unless root already) user namespaces; its failure is the test's."""

    @functools.wraps(test)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        readable, writable = os.pipe()
        child = _fork()
        if child == 0:
            os.close(readable)
            _end_with(writable, lambda: _run_apart(lambda: test(*args, **kwargs), writable))
        os.close(writable)
        with os.fdopen(readable, errors="replace") as report:
            told = report.read()
        _, status = os.waitpid(child, 0)
        if status != 0 or told:
            pytest.fail(told or f"the test's process ended with status {status}", pytrace=False)

    return wrapper


def _run_apart(body: Callable[[], None], report: int) -> None:
    user, group = os.getuid(), os.getgid()
    _unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | (CLONE_NEWUSER if user else 0))
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    child = os.fork()  # a new PID namespace begins with the next child
    if child == 0:
        _end_with(report, lambda: _run_as_first_process(body))
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _run_as_first_process(body: Callable[[], None]) -> None:
    for command in (
        ["mount", "--make-rprivate", "/"],
        ["mount", "-t", "tmpfs", "tmpfs", "/run"],
        ["mount", "-t", "proc", "proc", "/proc"],
        ["mount", "-t", "sysfs", "sysfs", "/sys"],
        ["ip", "link", "set", "lo", "up"],
    ):
        subprocess.run(command, check=True)
    BIN.mkdir()
    busybox = shutil.which("busybox")
    assert busybox, "the package busybox is missing"
    for applet in BUSYBOX_APPLETS:
        (BIN / applet).symlink_to(busybox)
    os.environ["PATH"] = f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin"
    body()


def _end_with(report: int, body: Callable[[], None]) -> None:
    """Never returns into pytest: reports what was raised, with what the agent said on its console."""
    try:
        body()
    except BaseException:  # pytest's failures are no Exception
        said = console.transcript().decode(errors="replace")
        os.write(report, f"{traceback.format_exc()}\nthe agent's console:\n{said}".encode())
        os._exit(1)
    os._exit(0)


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
