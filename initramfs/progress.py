"""Tells the person at the keyboard what is being built and how long each step took. Writes to stderr and nowhere else."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class Progress:
    """Lines of `seconds since start, step, duration`; a step that is served from the cache does not appear."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._start_s = time.monotonic()

    def say(self, text: str) -> None:
        """One line, stamped with the seconds since the build began."""
        print(f"{time.monotonic() - self._start_s:7.1f} s  {text}", file=self._stream, flush=True)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Announce a step, and its duration once it is done."""
        self.say(f"{text} ...")
        start_s = time.monotonic()
        yield
        self.say(f"{text}: {time.monotonic() - start_s:.1f} s")
