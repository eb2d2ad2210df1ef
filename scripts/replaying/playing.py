"""What every runner is given, and gives. No I/O here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scripts.replaying.performed import Performed
from scripts.replaying.stand_ins import StandIn
from scripts.replaying.tape import Tape


@dataclass(frozen=True)
class Options:
    """`shared`: a folder for what all replays of one call have in common, and what each leaves behind until the call is over.

    `say`: one line for a person who waits.
    """

    shared: Path
    say: Callable[[str], object] = print


Play = Callable[[Tape, list[StandIn], Options], Performed]
