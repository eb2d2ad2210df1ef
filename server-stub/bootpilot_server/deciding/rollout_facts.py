"""The nouns of rollouts and of slots: what is wanted, how far it is, and where one node stands in it. No I/O here."""

import math
import re
from dataclasses import dataclass
from enum import Enum, StrEnum

from bootpilot_server.deciding.recipes import Condition

REST = 0


class RolloutState(StrEnum):
    """STOPPED: it stopped itself. ABORTED: no further node, those reached keep the profile; BACK: they get their former one."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    ABORTED = "aborted"
    BACK = "back"
    FINISHED = "finished"


@dataclass(frozen=True)
class StopAt:
    """At so many failed nodes, or at such a part of the nodes that the waves up to the open one hold, a rollout stops."""

    count: int = 0
    percent: float = 0.0

    @classmethod
    def from_text(cls, text: str) -> "StopAt":
        """`3` or `3%`. Raises ValueError."""
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)(%?)", text.strip())
        if found is None or float(found[1]) <= 0 or (found[2] and float(found[1]) > 100) or (not found[2] and "." in found[1]):
            raise ValueError(f"expected a number of nodes from 1, or a part such as 3%, got {text!r}")
        return cls(percent=float(found[1])) if found[2] else cls(count=int(found[1]))

    def to_text(self) -> str:
        return f"{self.percent:g}%" if self.percent else str(self.count)

    def limit(self, opened: int) -> int:
        """How many failures are too many; one is always allowed to be."""
        return self.count or max(1, math.ceil(self.percent * opened / 100))


@dataclass(frozen=True)
class Rollout:
    """One rollout as it stands. `waves` are sizes, REST for all that are left; `wave` is the open one, from 0.

    `total` is how many nodes the selector meant when it was made; `max_concurrent` 0 is no bound.
    """

    name: str
    conditions: tuple[Condition, ...]
    profile: str
    waves: tuple[int, ...]
    stop_at: StopAt
    max_concurrent: int = 0
    soak_s: int = 0
    state: RolloutState = RolloutState.RUNNING
    why: str = ""
    wave: int = 0
    total: int = 0

    @property
    def size(self) -> int | None:
        """Of the open wave; None if it takes all that come."""
        return self.waves[self.wave] or None

    @property
    def opened(self) -> int:
        """How many nodes the waves hold that were opened so far."""
        sizes = self.waves[: self.wave + 1]
        return max(sum(sizes), self.total) if REST in sizes else sum(sizes)

    @property
    def is_over(self) -> bool:
        return self.state is RolloutState.FINISHED


@dataclass(frozen=True)
class Tally:
    """The tickets of a rollout, counted. `taken`, `settled` and `settled_at` (the last one) are of the open wave."""

    taken: int = 0
    settled: int = 0
    settled_at: float = 0.0
    reached: int = 0
    well: int = 0
    failed: int = 0
    busy: int = 0


@dataclass(frozen=True)
class Ticket:
    """One node that a rollout has reached. Of `well_at` and `failed_at` one is set, or neither yet."""

    rollout: str
    node_id: str
    wave: int
    boot_id: str
    busy_until: float | None = None
    well_at: float | None = None
    failed_at: float | None = None
    why: str = ""
    former: str = ""

    @property
    def state(self) -> str:
        """One word for lists."""
        return "failed" if self.failed_at is not None else "well" if self.well_at is not None else "under way"


class Turn(Enum):
    """Where a node stands in a rollout that means it."""

    REACHED = "it has it"
    OPEN = "its turn has come"
    NOT_YET = "its turn has not come"
    BACK = "it gets its former profile"


@dataclass(frozen=True)
class Line:
    """A queue as one node finds it: the bound, how many others have a slot, how many wait ahead, whether it has one itself."""

    limit: int
    used: int = 0
    ahead: int = 0
    holds: bool = False

    @property
    def admits(self) -> bool:
        """Whoever came first is first: a slot that others wait for is not taken by a newcomer who asks at the right moment."""
        return self.used + (0 if self.holds else self.ahead) < self.limit


@dataclass(frozen=True)
class Standing:
    """A rollout as one node finds it. `line` is that of nodes that wait to be reached, where there is a bound."""

    rollout: Rollout
    turn: Turn
    former: str = ""
    line: Line | None = None
    text: str = ""
