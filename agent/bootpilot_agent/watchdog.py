"""The hardware watchdog: reboots the board when the agent hangs. Owns /dev/watchdog0 and the thread that feeds it.

Only the main loop's `beat()` keeps it fed: the thread feeds the device while beats are recent, and leaves off when they stop.
"""

import fcntl
import os
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent import sysfs
from bootpilot_agent.console import say
from bootpilot_agent.traits import watchdog_traits

NAME = "watchdog0"
# linux/watchdog.h; the same numbers on x86, ARM and RISC-V.
WDIOC_KEEPALIVE = 0x80045705
WDIOC_SETTIMEOUT = 0xC0045706
WDIOC_GETTIMEOUT = 0x80045707
MAGIC_CLOSE = b"V"


@dataclass(frozen=True)
class Chip:
    """What /sys tells of a watchdog without opening it; opening starts it. `reason` says why it cannot be stopped, if so.

    `cannot_keep` says why it must not run on after the jump, if so.
    """

    identity: str
    reason: str
    cannot_keep: str = ""

    @property
    def is_stoppable(self) -> bool:
        return not self.reason


def read_chip(root: Path = Path("/")) -> Chip | None:
    """The first watchdog, None if there is none."""
    folder = root / "sys/class/watchdog" / NAME
    if not (root / "dev" / NAME).exists():
        return None
    identity = sysfs.read_text(folder / "identity")
    nowayout = "set never to stop (nowayout)" if sysfs.read_number(folder / "nowayout") else ""
    traits = watchdog_traits(identity)
    return Chip(identity or "unknown", traits.cannot_stop or nowayout, traits.cannot_keep)


class Beats:
    """When the main loop was last alive, and whether that is recent enough to feed the watchdog. Clock passed in."""

    def __init__(self, limit_s: float, now_s: float) -> None:
        self._limit_s = limit_s
        self._last_s = now_s

    def beat(self, now_s: float) -> None:
        self._last_s = now_s

    def is_alive(self, now_s: float) -> bool:
        return now_s - self._last_s < self._limit_s


class Watchdog:
    """Without a device, and before `start()`, all methods do nothing. None of them raises."""

    def __init__(self, chip: Chip | None, timeout_s: int, root: Path = Path("/")) -> None:
        self._chip = chip
        self._timeout_s = timeout_s
        self._root = root
        self._device: int | None = None  # a bare descriptor: a file object would be closed with the last reference to it
        self._beats = Beats(timeout_s, time.monotonic())
        self._end = threading.Event()
        self._feeder: threading.Thread | None = None

    @classmethod
    def open(cls, timeout_s: int, *, keep_allowed: bool = False, root: Path = Path("/")) -> "Watchdog":
        """Find it and start it, if it can be stopped again or its plan keeps it anyway. `timeout_s` 0: no watchdog."""
        watchdog = cls(read_chip(root) if timeout_s else None, timeout_s, root)
        if watchdog._chip is not None and (watchdog._chip.is_stoppable or keep_allowed):
            watchdog._start()
        return watchdog

    def beat(self) -> None:
        """The main loop is alive. Only the main loop may call this, at least every few seconds."""
        self._beats.beat(time.monotonic())

    def stop(self) -> None:
        """Before the jump: magic close, so that it stands still afterwards."""
        self._end_feeding()
        if self._device is None:
            return
        with suppress(OSError):
            os.write(self._device, MAGIC_CLOSE)
        with suppress(OSError):
            os.close(self._device)
        self._device = None
        if sysfs.read_text(self._root / "sys/class/watchdog" / NAME / "state") == "active":
            say("watchdog: it does not stop; a payload that does not feed it will be reset")

    def keep(self) -> None:
        """Before the jump, if the plan's payload feeds it: start it if it does not run, feed it once more, let it run on."""
        if self._chip is not None and self._chip.cannot_keep and self._chip.is_stoppable:
            say(f"watchdog: not kept, as the plan would have it: {self._chip.cannot_keep}")
            self.stop()
            return
        self.beat()
        if self._device is None and self._chip is not None:
            self._start()
        self._end_feeding()
        self._feed()
        if self._device is None:
            say("watchdog: the plan wants it kept, but there is none that runs")

    def starve(self) -> None:
        """Before a reboot: one that runs is fed once more and never again, so that a reboot that hangs ends in a reset."""
        self._end_feeding()
        self._feed()

    def describe(self) -> str:
        """For the console: which watchdog runs, or why none."""
        if self._chip is None:
            return "none" if self._timeout_s else "not used (setting)"
        if self._device is None:
            return f"{self._chip.identity} not used: {self._chip.reason or 'cannot be opened'}"
        return f"{self._chip.identity}, reboots the board after {self._timeout_s} s without a sign of life"

    def _start(self) -> None:
        try:
            self._device = os.open(self._root / "dev" / NAME, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            say(f"watchdog: cannot be opened: {error}")
            return
        every_s = max(0.5, self._hardware_timeout_s() / 4)
        self._end.clear()
        self._feeder = threading.Thread(target=self._feed_while_alive, args=(every_s,), name="watchdog", daemon=True)
        self._feeder.start()

    def _hardware_timeout_s(self) -> int:
        """Set the timeout, or the longest that this chip has (sunxi: 16 s), and return what it then is."""
        longest = sysfs.read_number(self._root / "sys/class/watchdog" / NAME / "max_timeout") or self._timeout_s
        for request, value in ((WDIOC_SETTIMEOUT, min(self._timeout_s, longest)), (WDIOC_GETTIMEOUT, 0)):
            with suppress(OSError):
                if self._device is not None:
                    answer = fcntl.ioctl(self._device, request, struct.pack("i", value))
                    return max(1, int(struct.unpack("i", answer)[0]))
        return 10  # it tells nothing: feed it often

    def _feed_while_alive(self, every_s: float) -> None:
        while not self._end.wait(every_s):
            if self._beats.is_alive(time.monotonic()):
                self._feed()

    def _feed(self) -> None:
        if self._device is not None:
            with suppress(OSError):
                fcntl.ioctl(self._device, WDIOC_KEEPALIVE, 0)

    def _end_feeding(self) -> None:
        self._end.set()
        if self._feeder is not None:
            self._feeder.join()
            self._feeder = None
