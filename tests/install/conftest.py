"""A machine with nothing on it, and a boot server on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.boot_server import FakeBootServer
from tests.fakes.installing_machine import InstallingMachine


@pytest.fixture
def server() -> Iterator[FakeBootServer]:
    with FakeBootServer() as running:
        yield running


@pytest.fixture
def machine(tmp_path: Path, server: FakeBootServer) -> Iterator[InstallingMachine]:
    with InstallingMachine(tmp_path, server.url) as running:
        yield running
