"""What every boot in QEMU needs: a short folder, what was built, a boot server of its own, a count of lost kernels."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Protocol

import pytest

from scripts.lab.boot_server import BootServer
from scripts.lab.chain import Built, booted, build
from scripts.lab.guest import Guest
from scripts.lab.installing import InstallKit, install_kit
from scripts.lab.machines import MACHINES
from scripts.lab.verdict import Verdict
from scripts.lab.vm import RunningGuest
from tests.conftest import LOST_KERNEL
from tests.qemu.install_bench import InstallBench, install_bench

DEADLINE_S = {arch: machine.deadline_s for arch, machine in MACHINES.items()}


class Boot(Protocol):
    def __call__(
        self, guest: Guest, meanwhile: Callable[[RunningGuest], None] | None = None
    ) -> AbstractContextManager[tuple[RunningGuest, Verdict]]: ...


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, because the paths of control sockets end at 107 bytes; pytest's own are longer."""
    path = Path(tempfile.mkdtemp(prefix="bp-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def server(folder: Path) -> Iterator[BootServer]:
    """A boot server that has not started yet."""
    server = BootServer(folder / "home")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def built() -> Callable[[str], Built]:
    """The loader and workload of an architecture, made once."""
    return cache(build)


@pytest.fixture
def boot(record_property: Callable[[str, object], None]) -> Boot:
    """Boots a guest to its payload; a kernel that QEMU loses is counted under the test's name."""

    def to_payload(
        guest: Guest, meanwhile: Callable[[RunningGuest], None] | None = None
    ) -> AbstractContextManager[tuple[RunningGuest, Verdict]]:
        def count(why: str) -> None:
            record_property(LOST_KERNEL, why)

        return booted(guest, guest.machine.deadline_s, count, meanwhile=meanwhile)

    return to_payload


@pytest.fixture(scope="session")
def kit(built: Callable[[str], Built]) -> InstallKit:
    """What it takes to install the small root file system on a PC, made once."""
    return install_kit(built("amd64"), "minimal")


@pytest.fixture
def bench(
    kit: InstallKit, folder: Path, server: BootServer, record_property: Callable[[str, object], None]
) -> Iterator[InstallBench]:
    """A server that has it, and room for boards."""
    with install_bench(kit, folder, server, lambda why: record_property(LOST_KERNEL, why)) as made:
        yield made
