"""When the board starts its own disk without a server: what its marks allow, and how long no usable plan has come.

Holds a clock, reads nothing and starts nothing. The time runs from the agent's start. A valid `wait` starts it anew, and it
stands still until that wait is over: a server that says wait is there, and decides. It does not run out during a download that
moves either: that plan is usable so far.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bootpilot_agent.deadline import Chance, Clock, Deadline, growing_waits
from bootpilot_agent.evidence import Evidence
from bootpilot_agent.mark_reader import DiskMark

# A server must have had the chance to answer, or a board whose mark says 0 could never be told anything again.
LEAST_S = 30.0
# Between two tries of a disk that does not start; the board goes on asking meanwhile.
FIRST_RETRY_S, MOST_RETRY_S = 60.0, 3600.0
# A download that moved no byte for so long does not count as one.
MOVES_S = 60.0


class Autonomy:
    """`learn` whenever the disks changed; the rest asks how it stands."""

    def __init__(self, say: Callable[[str], object], chance: Chance, clock: Clock = time.monotonic) -> None:
        self._say = say
        self._chance = chance
        self._clock = clock
        self._since_s = clock()
        self._retry_at_s = self._since_s
        self._moved_at_s = self._since_s - MOVES_S
        self._waits: Iterator[float] = growing_waits(FIRST_RETRY_S, MOST_RETRY_S, chance)
        self._mark: DiskMark | None = None
        self._said = ""

    def learn(self, marks: Sequence[DiskMark], evidence: tuple[Evidence, ...]) -> None:
        """Which mark counts now, if any; why none does is said once."""
        self._mark, why = choose(marks, evidence)
        if why and why != self._said:
            self._say(f"no start without a server: {why}")
        self._said = why

    def restart(self) -> None:
        """The server has answered with a valid `wait`, or that wait is over."""
        self._since_s = self._clock()

    def moved(self) -> None:
        """Bytes of a plan's download have come."""
        self._moved_at_s = self._clock()

    def failed(self) -> None:
        """The disk did not start: it is tried again later, and ever more seldom."""
        self._retry_at_s = self._clock() + next(self._waits)

    def remaining_s(self) -> float:
        """Seconds until the board starts its disk; endless where it never does."""
        if self._mark is None or self._mark.mark.autonomous_after_s is None:
            return float("inf")
        due_s = self._since_s + max(LEAST_S, self._mark.mark.autonomous_after_s)
        return max(0.0, max(due_s, self._retry_at_s) - self._clock())

    def due_mark(self) -> DiskMark | None:
        """The mark whose system is to be started now; None if none is."""
        return self._mark if self.remaining_s() <= 0.0 else None

    def fetching_s(self) -> float:
        """The same for a download: endless while it moves."""
        return max(self.remaining_s(), self._moved_at_s + MOVES_S - self._clock())


@dataclass(frozen=True)
class LimitedDeadline(Deadline):
    """A deadline that also ends when the board is to start its disk; that can change while it runs."""

    limit_s: Callable[[], float] = lambda: float("inf")

    def remaining_s(self) -> float:
        return min(super().remaining_s(), self.limit_s())


def choose(marks: Sequence[DiskMark], evidence: tuple[Evidence, ...]) -> tuple[DiskMark | None, str]:
    """The one mark that may be followed, or why none may: a tie is no answer, and another board's disk is a person's matter."""
    strangers = [mark for mark in marks if not mark.mark.names(evidence)]
    if strangers:
        return None, f"the mark on {strangers[0].disk} is that of another board ({strangers[0].mark.evidence_value})"
    if len(marks) > 1:
        return None, f"{len(marks)} disks have a mark of this board: {', '.join(mark.disk for mark in marks)}"
    return (marks[0], "") if marks else (None, "")
