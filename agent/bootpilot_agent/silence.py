"""How long no boot server has answered, and when that is long enough for a reboot. Sends and reboots nothing itself.

A network adapter or a USB controller can hang so that only a reset cures it, and nobody stands in front of the board. What a
reboot does not cure (no cable, a server that is down) it does not harm either.
"""

from bootpilot_agent.deadline import Chance, Clock, Deadline, jittered

HOUR_S = 3600.0


class Silence:
    """Begins when it is made, and anew with each `heard()`."""

    def __init__(self, limit_h: int, chance: Chance, clock: Clock) -> None:
        """`limit_h` 0: never too long. Jittered, so that a hall full of boards does not switch on at once."""
        self.limit_h = limit_h
        self._chance = chance
        self._clock = clock
        self.heard()

    def heard(self) -> None:
        """A boot server has answered."""
        self._deadline = Deadline.after(jittered(self.limit_h * HOUR_S, self._chance), self._clock)

    def is_too_long(self) -> bool:
        return self.limit_h > 0 and self._deadline.passed()
