"""Time limits and growing waits, in seconds on the monotonic clock (boards have no date). Reads that clock and never sleeps.

Clock and chance can be passed in, so that tests need not wait.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Clock = Callable[[], float]
Chance = Callable[[], float]

# What RFC 9110 section 10.2.3 leaves open: a server may not make a board hammer it, nor send it to sleep for a day.
LEAST_RETRY_AFTER_S = 1.0
MOST_RETRY_AFTER_S = 3600.0
# A rack that was refused together must not come back together.
JITTER = 0.25


@dataclass(frozen=True)
class Deadline:
    """A point on the monotonic clock that a step must not pass."""

    at_s: float
    clock: Clock = time.monotonic

    @classmethod
    def after(cls, seconds: float, clock: Clock = time.monotonic) -> "Deadline":
        return cls(clock() + seconds, clock)

    def remaining_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at_s - self.clock())

    def passed(self) -> bool:
        return self.remaining_s() <= 0.0

    def within(self, seconds: float) -> "Deadline":
        """The earlier of this deadline and one after so many seconds."""
        return Deadline(min(self.at_s, self.clock() + seconds), self.clock)


def jittered(wait_s: float, chance: Chance) -> float:
    """The wait, made up to a quarter longer and never shorter (a server's Retry-After is a least)."""
    return wait_s * (1.0 + JITTER * chance())


def growing_waits(first_s: float, most_s: float, chance: Chance) -> Iterator[float]:
    """Waits that double from `first_s` to `most_s`, each jittered; without end."""
    wait_s = first_s
    while True:
        yield jittered(wait_s, chance)
        wait_s = min(wait_s * 2, most_s)


def clamp_retry_after(seconds: float) -> float:
    """What a server asked for, kept between one second and one hour."""
    return min(max(seconds, LEAST_RETRY_AFTER_S), MOST_RETRY_AFTER_S)
