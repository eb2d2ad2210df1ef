"""The board's idea of the date, kept where it can be: not before this agent was built, and not absurdly long after.

Certificates are checked against it, and nothing else here is (time limits are on the monotonic clock). A board's clock can be
missing (1970), have lost its battery (2000), or read nonsense (2038 and later): each would shut the board out for ever.
What is known for certain is a floor: now is later than the build, than the first day of the CA on the card, and than that of
a certificate which such a CA has signed. A clock that cannot be right is set to that floor, as on boards without one.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bootpilot_agent.taps import tap

# No loader is left in the field for longer than this after its build; a clock that says so is wrong. A right one beyond it
# only loses the difference between "expired" and "expired before this agent was built".
CREDIBLE_S = 10 * 365 * 86400


def set_system_clock(unix_s: float) -> None:
    """Raises OSError."""
    time.clock_settime(time.CLOCK_REALTIME, unix_s)


@dataclass
class WallClock:
    """The system's clock above `floor_s` (unix time; 0, of an agent that was never built, leaves the clock alone).

    The floor rises with what is learnt; how late it may be is reckoned from the build.
    """

    floor_s: int = 0
    say: Callable[[str], object] = field(default=lambda text: None)
    read: Callable[[], float] = time.time
    write: Callable[[float], object] = set_system_clock
    _latest_s: int = field(init=False)

    def __post_init__(self) -> None:
        self._latest_s = self.floor_s + CREDIBLE_S

    def correct(self) -> None:
        """Whenever the date counts: a driver that is loaded late sets the clock again (drivers/rtc/class.c, rtc_hctosys)."""
        now_s = self._now_s()
        tap().read_clock(now_s)
        if self.floor_s and not self.floor_s <= now_s <= self._latest_s:
            what = "it is later" if now_s < self.floor_s else "no loader is in use ten years after it was built"
            shown = "no date that can be read" if now_s == float("inf") else date_of(now_s)
            self._set(self.floor_s, f"clock: it says {shown}, but {what}")

    def learn(self, unix_s: int, who: str) -> bool:
        """Now is at least `unix_s`, the first day of a certificate that holds but for its dates. False if the clock stays."""
        if not self.floor_s < unix_s <= self._latest_s or not self.floor_s:
            return False
        self.floor_s = unix_s
        return self._now_s() < unix_s and self._set(unix_s, f"clock: {who} is valid from {date_of(unix_s)}, so it is later")

    def describe(self) -> str:
        """For people: the day."""
        return date_of(self._now_s())

    def _now_s(self) -> float:
        try:
            return self.read()
        except (OSError, OverflowError):  # beyond 2038-01-19 a 32-bit C library has no number for it (EOVERFLOW)
            return float("inf")

    def _set(self, unix_s: int, why: str) -> bool:
        try:
            self.write(unix_s)
        except OSError as error:
            self.say(f"{why}; it cannot be set: {error}")
            return False
        tap().read_clock(unix_s, corrected=True)
        self.say(f"{why}; set to {date_of(unix_s)}")
        return True


def date_of(unix_s: float) -> str:
    """2026-11-21; also beyond what the C library of a 32-bit system can tell."""
    import datetime  # only where something is wrong: it takes a small board a while

    try:
        day = datetime.date(1970, 1, 1) + datetime.timedelta(seconds=unix_s)
    except OverflowError:
        return "no date"
    return day.isoformat()
