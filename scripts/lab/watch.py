"""Shows a person what happens: stages from the board's console at once, events from the boot server as it hears of them.

Writes to standard output, and the whole console to a file. Decides nothing.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.lab.boot_server import BootServer
from scripts.lab.errors import LabError
from scripts.lab.stages import ConsoleLine, ConsoleStages

ASK_EVERY_S = 2.0


class Clock:
    """Seconds since the person pressed return, packages and Python environment included; safe to use from several threads."""

    def __init__(self) -> None:
        self._started_s = float(os.environ.get("BOOTPILOT_STARTED") or time.time())

    def elapsed_s(self) -> float:
        return time.time() - self._started_s

    def say(self, text: str) -> None:
        print(f"{self.elapsed_s():7.1f} s  {text}", flush=True)


class ConsoleWatch:
    """Called with each console line: keeps all in `log`, shows the stages, or every line if `whole`."""

    def __init__(self, clock: Clock, log: Path, *, whole: bool) -> None:
        self._clock, self._log, self._whole = clock, log, whole
        self._stages = ConsoleStages()
        log.unlink(missing_ok=True)

    def __call__(self, line: ConsoleLine) -> None:
        with self._log.open("a", encoding="utf-8") as stream:
            stream.write(f"{line.at_s:8.2f} {line.text}\n")
        stage = self._stages.stage(line.text)
        if self._whole:
            print(f"{line.at_s:8.2f} | {line.text}", flush=True)
        elif stage:
            self._clock.say(stage)


class EventWatch:
    """Says each event that the server gets to know, until `stop`."""

    def __init__(self, server: BootServer, clock: Clock) -> None:
        self._server, self._clock = server, clock
        self._done = threading.Event()
        self._seen: set[tuple[str, str, int]] = set()
        self._names: set[str] = set()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def wait_for(self, name: str, timeout_s: float) -> bool:
        """Has the server heard of an event of that name, or does it within the time?"""
        end_s = time.monotonic() + timeout_s
        while name not in self._names and time.monotonic() < end_s:
            time.sleep(0.1)
        return name in self._names

    def stop(self) -> None:
        """Ask the server once more, so that nothing it knows by now is missing."""
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(ASK_EVERY_S):
            self._say_news()
        self._say_news()

    def _say_news(self) -> None:
        # The display must not disturb the boot: a server that is busy is asked again.
        with contextlib.suppress(LabError):
            for event in self._server.events():
                if event.key not in self._seen:
                    self._seen.add(event.key)
                    self._clock.say(f"server    {event.describe()}")
                    self._names.add(event.name)


@contextmanager
def watched_events(server: BootServer, clock: Clock) -> Iterator[EventWatch]:
    """Events are said while the block runs."""
    watch = EventWatch(server, clock)
    try:
        yield watch
    finally:
        watch.stop()
