"""The boot server that whole boots in process talk to."""

from collections.abc import Iterator

import pytest

from tests.fakes.boot_server import FakeBootServer
from tests.fakes.kernels import bzimage


@pytest.fixture
def server() -> Iterator[FakeBootServer]:
    with FakeBootServer() as running:
        running.offer(bzimage(), b"an initrd")
        yield running
