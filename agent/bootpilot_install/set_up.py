"""Makes an installed image this board's own system."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent.devices import Run
from bootpilot_agent.install_order import InstallOrder
from bootpilot_install.board_note import BoardNote
from bootpilot_install.mounts import Part


@dataclass(frozen=True)
class Facts:
    """What the set-up knows."""

    order: InstallOrder
    note: BoardNote
    parts: tuple[Part, ...]
    loader_line: str
    target: Path


def set_up_system(facts: Facts, run: Run, say: Callable[[str], None]) -> None:
    """Raises SetupError."""
