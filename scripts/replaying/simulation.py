"""Virtual time for a program with threads: one thread runs at a time, and time passes only while all of them wait.

The order in which threads go on follows from what they wait for, never from the machine's load: the same program runs the same
way each time, and an hour of waiting takes none. Knows nothing of the agent.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

# A real thread that does not end when everything is over would be waiting for something outside of this simulation.
ENDS_S = 10.0


class OverError(BaseException):
    """The simulation has ended: the thread that is told so goes no further."""


class StuckError(Exception):
    """All threads wait, and none of them for time to pass."""


@dataclass
class _Wait:
    ready: Callable[[], bool]
    until_s: float | None
    is_main: bool = False
    go: threading.Event = field(default_factory=threading.Event)


class Simulation:
    """Begins at 0 seconds, in the thread that makes it. After `limit_s` what `when_over` gives is raised in that thread."""

    def __init__(self, limit_s: float, when_over: Callable[[], BaseException]) -> None:
        self.now_s = 0.0
        self._limit_s = limit_s
        self._when_over = when_over
        self._waiting: list[_Wait] = []
        self._threads: list[threading.Thread] = []
        self._main = threading.current_thread()
        self._over = False
        self._stuck = False

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.wait(lambda: False, seconds)

    def wait(self, ready: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Until `ready` or so much time has passed; what `ready` says then. In the thread that runs now."""
        if ready():
            return True
        if timeout_s is not None and timeout_s <= 0 and not self._waiting:
            return False
        is_main = threading.current_thread() is self._main
        me = _Wait(ready, None if timeout_s is None else self.now_s + max(0.0, timeout_s), is_main)
        self._waiting.append(me)
        self._pass_on()
        self._await(me)
        return ready()

    def spawn(self, work: Callable[[], object]) -> "Spawned":
        """A thread that begins when the running one waits."""
        me = _Wait(lambda: True, None)
        self._waiting.append(me)
        spawned = Spawned(self)

        def run() -> None:
            with contextlib.suppress(OverError):
                self._await(me)
                try:
                    work()
                finally:
                    spawned.is_done = True
                    if not self._over:
                        self._pass_on()

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()
        return spawned

    @contextlib.contextmanager
    def running(self) -> Iterator["Simulation"]:
        """All other threads are ended afterwards."""
        try:
            yield self
        finally:
            self._over = True
            for one in self._waiting:
                one.go.set()
            for thread in self._threads:
                thread.join(ENDS_S)

    def _await(self, me: _Wait) -> None:
        me.go.wait()
        if self._over and not me.is_main:
            raise OverError
        if me.is_main and self._stuck:
            raise StuckError(f"after {self.now_s:.1f} s every thread waits for another one")
        if me.is_main and self.now_s > self._limit_s:
            raise self._when_over()

    def _pass_on(self) -> None:
        """The first that can go on does; where none can, time passes until the first one's is over."""
        chosen = next((one for one in self._waiting if one.ready()), None) or self._next_in_time()
        if chosen is not None:
            self._waiting.remove(chosen)
            chosen.go.set()

    def _next_in_time(self) -> _Wait | None:
        timed = [one for one in self._waiting if one.until_s is not None]
        if timed:
            chosen = min(timed, key=lambda one: one.until_s or 0.0)
            self.now_s = max(self.now_s, chosen.until_s or 0.0)
            return chosen
        self._stuck = True
        return next((one for one in self._waiting if one.is_main), None)


@dataclass
class Spawned:
    """A thread of the simulation."""

    simulation: Simulation
    is_done: bool = False

    def join(self, timeout_s: float | None = None) -> None:
        self.simulation.wait(lambda: self.is_done, timeout_s)
