"""A boot server for each test that wants one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpilot_server.config import Config
from tests.fakes.bench import Bench, make_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A server with no rules in force yet, that refuses simulated boards."""
    yield from make_bench(tmp_path, Config(tmp_path / "home"))


@pytest.fixture
def open_bench(tmp_path: Path) -> Iterator[Bench]:
    """A server that takes simulated boards too."""
    yield from make_bench(tmp_path, Config(tmp_path / "open", allow_simulated=True))


@pytest.fixture
def home(bench: Bench) -> Path:
    """A server's folder with the demo's site in force."""
    bench.apply()
    return bench.server.config.home
