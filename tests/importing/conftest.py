"""A boot server for each test that wants one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpilot_server.config import Config
from tests.fakes.bench import Bench, make_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A server with no rules in force yet."""
    yield from make_bench(tmp_path / "bench", Config(tmp_path / "home"))
