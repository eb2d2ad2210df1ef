"""What follows a failed try: one table, from the family of the error to the next wait. Sleeps and sends nothing itself.

Nobody stands in front of 20 000 boards, so no row says "give up"; what only a person can mend is just asked for less often.
A loader that another loader started is not alone, though: what it fails at again and again, the one on the card may manage.
"""

from dataclasses import dataclass

from bootpilot_agent.deadline import Chance, jittered
from bootpilot_agent.errors import (
    AgentError,
    FetchError,
    KexecError,
    KexecReturnedError,
    LocalBootError,
    MemoryTooSmallError,
    NetworkError,
    PlanError,
    ServerError,
    SettingsError,
    VerifyError,
)


@dataclass(frozen=True)
class Waits:
    """The wait after the first failure in a row and the longest one; `reboot` means a fresh loader instead of the next try.

    `own`: the loader itself may be the cause, not the server, a file or a cable.
    """

    first_s: float
    most_s: float
    reboot: bool = False
    own: bool = False


# The first row whose class fits counts, so families stand below their members.
WAITS: tuple[tuple[type[AgentError], Waits], ...] = (
    # NICs are down and the card is unmounted: only the firmware brings back a state that is known to work.
    (KexecReturnedError, Waits(10, 300, reboot=True)),
    # The same plan gives the same refusal; a person or the server's limit of attempts changes it.
    (KexecError, Waits(30, 600, own=True)),
    (MemoryTooSmallError, Waits(60, 900, own=True)),
    (PlanError, Waits(30, 600, own=True)),
    (SettingsError, Waits(15, 300)),
    # Caches and mirrors are filled and mended within minutes.
    (VerifyError, Waits(15, 300)),
    (FetchError, Waits(5, 300)),
    # The disk stays as it is; the server counts, and after a few says what else to do. This loader may lack the disk's driver.
    (LocalBootError, Waits(10, 300, own=True)),
    # The server is up and has said no; when it names a time, that is used instead.
    (ServerError, Waits(10, 300)),
    # Cables are plugged in and switches finish spanning tree; asking costs nothing.
    (NetworkError, Waits(1, 30)),
    # Drivers, commands, and faults of our own.
    (AgentError, Waits(10, 300, own=True)),
)


# Failures in a row after which a loader gives way to the one that started it.
GIVES_WAY_AFTER = 3


@dataclass(frozen=True)
class Recovery:
    """What to do now: wait so long, then reboot or try again. `gives_way`: reboot if another loader started this one."""

    wait_s: float
    reboot: bool
    gives_way: bool = False


def recover(error: AgentError, failures: int, chance: Chance) -> Recovery:
    """The recovery from the `failures`th failure in a row (counted from 1)."""
    row = next(waits for family, waits in WAITS if isinstance(error, family))
    wait_s = min(row.first_s * 2 ** min(failures - 1, 16), row.most_s)
    if isinstance(error, ServerError) and error.retry_after_s is not None:
        wait_s = error.retry_after_s
    return Recovery(jittered(wait_s, chance), row.reboot, row.own and failures >= GIVES_WAY_AFTER)
