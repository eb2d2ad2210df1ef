"""What every runner is given, and gives. No I/O here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scripts.replaying.performed import Performed
from scripts.replaying.stand_ins import StandIn
from scripts.replaying.tape import Tape
from scripts.scenarios.scenario import Scenario


@dataclass(frozen=True)
class Options:
    """`shared`: a folder for what all replays of one call have in common, and what each leaves behind until the call is over.

    `fault`: a written one that is laid over the recorded server's answers. `say`: one line for a person who waits.
    """

    shared: Path
    fault: Scenario | None = None
    say: Callable[[str], object] = print


Play = Callable[[Tape, list[StandIn], Options], Performed]
