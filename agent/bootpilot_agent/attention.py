"""The main loop's attention: what has to go on while a step blocks or waits. Owns worker threads and the watchdog's beats.

Network and drivers live on here: leases are renewed, late devices get their modules, while an artifact is fetched in a thread.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from bootpilot_agent.deadline import Deadline
from bootpilot_agent.devices import Devices, WatchdogDevice
from bootpilot_agent.plan import Watchdog

T = TypeVar("T")
TICK_S = 0.25
SLEEP_TICK_S = 1.0


class Attention:
    """Used by the main thread only."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices
        self._watchdog: WatchdogDevice | None = None
        self._network_started = False
        self._shown = ""

    def watch(self, watchdog: WatchdogDevice) -> None:
        """From now on show this watchdog that the main loop lives."""
        self._watchdog = watchdog

    def network_started(self) -> None:
        """From now on listen to the network; it listens to the drivers."""
        self._network_started = True

    def idle(self, seconds: float) -> None:
        """Wait at most so long for news from network and drivers, and act on it.

        Never raises. A fault in there is shown, and costs neither the step that waits nor the thread that it waits for, which
        would be left behind to write where the next try writes.
        """
        if self._watchdog is not None:
            self._watchdog.beat()
        try:
            if self._network_started:
                self._devices.network.poll(seconds)
            else:
                self._devices.drivers.poll(seconds)
        except Exception as error:
            self._show_once(error)
            time.sleep(min(seconds, TICK_S))  # a fault that comes at once, every time, must not keep the processor busy

    def sleep(self, seconds: float) -> None:
        """Wait the whole time."""
        deadline = Deadline.after(seconds, self._devices.clock)
        while not deadline.passed():
            self.idle(min(SLEEP_TICK_S, deadline.remaining_s()))

    def attend(self, task: Callable[[], T]) -> T:
        """Do something that blocks, in a thread; its result, or its exception."""
        worker = Worker(task)
        worker.start()
        return self.attend_to(worker)

    def attend_to(self, worker: "Worker[T]") -> T:
        """The same for a thread that was started earlier."""
        while worker.is_alive():
            self.idle(0.0)
            worker.join(TICK_S)
        return worker.outcome()

    def release_watchdog(self, policy: Watchdog, timeout_s: int) -> None:
        """Stop it, or leave it running for a payload that feeds it (then also one that cannot be stopped)."""
        if policy is Watchdog.KEEP:
            (self._watchdog or self._devices.open_watchdog(timeout_s, keep_allowed=True)).keep()
        elif self._watchdog is not None:
            self._watchdog.stop()
        self._watchdog = None

    def starve_watchdog(self) -> None:
        """Leave it running and show it no more life."""
        if self._watchdog is not None:
            self._watchdog.starve()
        self._watchdog = None

    def _show_once(self, error: Exception) -> None:
        kind = f"{type(error).__name__}: {error}"
        if kind != self._shown:
            import traceback

            self._devices.console.say("".join(traceback.format_exception(error)).rstrip())
            self._devices.console.say("going on without what the lines above tried to do")
        self._shown = kind


class Worker(threading.Thread, Generic[T]):
    """One task in a thread of its own."""

    def __init__(self, task: Callable[[], T]) -> None:
        super().__init__(daemon=True)
        self._task = task
        self._results: list[T] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._results.append(self._task())
        except BaseException as error:
            self.error = error

    def outcome(self) -> T:
        """After the end: the result. Raises what the task raised."""
        if self.error is not None:
            raise self.error
        return self._results[0]
