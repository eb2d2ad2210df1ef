"""Which boards can be simulated, for a person: by name, as a list, with the reason for those that cannot. No I/O here."""

import difflib

from scripts.lab.errors import LabError
from scripts.lab.machine import Machine
from scripts.lab.machines import BY_BOARD, NOT_SIMULATED
from scripts.sdcard.boards import BOARDS


def machine_named(board: str) -> Machine:
    """The machine that starts this board's card. Raises LabError with the reason, or the nearest names."""
    # Members of a family share the card, and so the machine.
    family = (board, *(BOARDS[board].names if board in BOARDS else ()))
    for name in (board,) if board in NOT_SIMULATED else family:
        if name in BY_BOARD:
            return BY_BOARD[name]
    for name in family:
        if name in NOT_SIMULATED:
            raise LabError(f"{board} cannot be simulated: {NOT_SIMULATED[name]}", "--list-boards shows those that can")
    near = difflib.get_close_matches(board.lower(), BY_BOARD, n=3, cutoff=0.5)
    raise LabError(
        f"no simulated board is called {board!r}",
        f"did you mean {' or '.join(near)}?" if near else "--list-boards shows all of them",
    )


def list_boards() -> str:
    """A text with one paragraph for each board."""
    lines = []
    for name, machine in BY_BOARD.items():
        lines.append(f"{name:18} {machine.title}")
        lines += [f"{'':18}   {text}" for text in (machine.start.value, *machine.notes)]
    lines.append("\nwithout a simulator:")
    lines += [f"{name:18} {reason}" for name, reason in NOT_SIMULATED.items()]
    return "\n".join(lines) + "\n"
