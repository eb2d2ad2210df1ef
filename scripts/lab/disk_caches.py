"""Disks whose own cache loses its content with the power: nbdkit between QEMU and the image, killed when the power is cut.

nbdkit's cache filter keeps what is written until the guest flushes, and then writes all of it to the image. Killing it leaves
exactly what was flushed, which is the worst that a disk may do. Starts nbdkit; knows nothing of what is on a disk.
"""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from scripts.lab.disks import Disk
from scripts.lab.errors import LabError

START_TIMEOUT_S = 30.0


class DiskCaches:
    """One nbdkit for each volatile disk, until `lose`."""

    def __init__(self, disks: Sequence[Disk]) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            for disk in disks:
                if disk.volatile:
                    self._processes.append(_start(disk))
        except LabError:
            self.lose()
            raise

    def lose(self) -> None:
        """End them at once: what was not flushed is gone."""
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()


def _start(disk: Disk) -> subprocess.Popen[bytes]:
    disk.socket.unlink(missing_ok=True)
    argv = ["nbdkit", "--foreground", "--exit-with-parent", "--unix", str(disk.socket)]
    argv += ["--filter=cache", "file", f"file={disk.path}", "cache=writeback"]
    try:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise LabError(f"nbdkit cannot be started: {error}", "install the packages of scripts/packages.txt") from error
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not disk.socket.exists():
        if process.poll() is not None or time.monotonic() > deadline_s:
            process.kill()
            process.wait()
            raise LabError(f"nbdkit did not open {disk.socket} (status {process.returncode})")
        time.sleep(0.02)
    return process


@contextmanager
def disk_caches(disks: Sequence[Disk]) -> Iterator[DiskCaches]:
    """The caches of the volatile ones of these disks while the block lasts."""
    caches = DiskCaches(disks)
    try:
        yield caches
    finally:
        caches.lose()
