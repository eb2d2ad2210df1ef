"""Waits for what the boot server hears of."""

import time
from collections.abc import Callable

from scripts.lab.boot_server import BootServer


def wait_for_events(server: BootServer, *names: str) -> None:
    """Until the boards' current boots have told all of these events."""
    wait_for(lambda: set(names) <= {event.name for event in server.events()})


def wait_for(condition: Callable[[], bool], deadline_s: float = 240.0) -> None:
    """Ask each second; an assertion fails at the deadline."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(1.0)
