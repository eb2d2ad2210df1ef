"""The bench's table: medians, ratios, aims. No I/O here."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measured thing of both loaders. `aim` is a sentence; `met` None where there is nothing to meet."""

    what: str
    unit: str
    script: float
    agent: float
    aim: str = ""
    met: bool | None = None

    @property
    def ratio(self) -> float:
        return self.agent / self.script if self.script else float("nan")


def median(values: Sequence[float]) -> float:
    """Raises StatisticsError for no values."""
    return float(statistics.median(values))


def at_most(what: str, unit: str, script: float, agent: float, ratio: float) -> Row:
    """A row whose agent may take at most `ratio` of the script's."""
    return Row(what, unit, script, agent, f"at most {ratio:.2f} of the script", agent <= ratio * script)


def at_least(what: str, unit: str, script: float, agent: float, ratio: float) -> Row:
    """A row whose agent must reach at least `ratio` of the script's."""
    return Row(what, unit, script, agent, f"at least {ratio:.2f} of the script", agent >= ratio * script)


def render(rows: Sequence[Row]) -> str:
    """A table in Markdown."""
    lines = ["| | unit | script | agent | ratio | aim | |", "|---|---|---:|---:|---:|---|---|"]
    for row in rows:
        mark = {True: "met", False: "MISSED", None: ""}[row.met]
        values = f"{_number(row.script)} | {_number(row.agent)} | {row.ratio:.2f}"
        lines.append(f"| {row.what} | {row.unit} | {values} | {row.aim} | {mark} |")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"
