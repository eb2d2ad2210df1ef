"""From a board's monotonic milliseconds to dates, by what its wall clock said while it was recorded. No I/O here."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bootpilot_agent.recording import Recording
from bootpilot_agent.recording_lines import ClockLine

# What a clock that was read within the year 1970 to 9999 can say; anything else is no date.
MOST_S = 253_402_300_799


@dataclass(frozen=True)
class BoardClock:
    """The date at the board's start, in unix seconds; 0 where no clock was read."""

    start_s: float

    @classmethod
    def of(cls, recording: Recording) -> "BoardClock":
        """By the last reading: a clock that was wrong is corrected early."""
        readings = [(timed.t_ms, timed.line.real_s) for timed in recording.lines if isinstance(timed.line, ClockLine)]
        usable = [(t_ms, real_s) for t_ms, real_s in readings if real_s is not None and t_ms / 1000 <= real_s < MOST_S]
        return cls(usable[-1][1] - usable[-1][0] / 1000) if usable else cls(0.0)

    def date(self, t_ms: int) -> datetime:
        """The date at this moment; the last one there is for a moment beyond it."""
        seconds = min(self.start_s + t_ms / 1000, float(MOST_S))
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)

    def iso(self, t_ms: int) -> str:
        """2026-11-21T10:00:00.123+00:00, as HAR and other tools want it."""
        return self.date(t_ms).isoformat(timespec="milliseconds")
