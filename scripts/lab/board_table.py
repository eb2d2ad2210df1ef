"""The table of boards that were switched on: how far each came, and when. No I/O here."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

HEADER = "| board | chain | result | agent's first line | kexec | page |"
RULE = "|---|---|---|---:|---:|---:|"
NOT_RUN = "not simulated"


@dataclass(frozen=True)
class BoardRun:
    """One row. Times are seconds from power on, None for what did not happen. `result` begins with "passed" or "failed"."""

    board: str
    chain: str
    result: str
    agent_s: float | None = None
    kexec_s: float | None = None
    page_s: float | None = None


def not_simulated(reasons: dict[str, str]) -> list[BoardRun]:
    """The rows of boards that QEMU cannot start: their images are inspected instead."""
    return [BoardRun(board, "inspection of its image", f"{NOT_RUN}: {why}") for board, why in reasons.items()]


def to_markdown(runs: Sequence[BoardRun]) -> str:
    """A table for people; the times are those of this run on this machine."""
    lines = [HEADER, RULE]
    for run in runs:
        times = " | ".join(_seconds(value) for value in (run.agent_s, run.kexec_s, run.page_s))
        lines.append(f"| {run.board} | {_cell(run.chain)} | {_cell(run.result)} | {times} |")
    return "\n".join(lines) + "\n"


def to_json(runs: Sequence[BoardRun]) -> str:
    """The same for programs: a list of objects."""
    return json.dumps([asdict(run) for run in runs], indent=1) + "\n"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} s"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
