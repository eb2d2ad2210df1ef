"""The matrix as a table: shares, medians, unverified boots. No I/O here."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from scripts.faults.outcome import Came, Loader, Outcome
from scripts.scenarios.scenario import Expect, Runner, Scenario

HEAD = """\
# The fault matrix

Made by `scripts/fault-matrix --baseline --qemu --report scripts/faults/MATRIX.md`; `scripts/fault-matrix ROW` runs one row
again, and `scripts/scenarios/rows` has them as they are written. Each row plays the frozen agent on a simulated board, in
network namespaces of its own, with a real DHCP server, real sockets, and a boot server that does what the row says.

The yardstick is a plain script of busybox and kexec-tools (`scripts/faults/script_init`): udhcpc, wget, sha256sum, kexec,
and a reboot where a step fails, which costs it {reboot:.0f} s here and on a board ten times that. It has the server and the
digests on its command line and asks no questions: rows about greeting, plan and events do not reach it, and there is no
agent to be killed.

*agent* and *script* are the shares of runs that came to the plan's payload, *s* the median of the seconds that this took.
Rows marked *refuses* have no payload that may or can run: the share counts runs in which the loader booted nothing, said
why, and went on asking; *dead* are those that jumped into what cannot run. *unverified* counts the boots, of both loaders,
of bytes that the plan does not name; it must be 0.
"""
GROUPS = {
    "0-nothing-wrong": "For comparison",
    "1-dhcp": "DHCP",
    "2-links": "Cables and adapters",
    "3-server": "The boot server, and what stands between",
    "4-board": "The board and its payload",
    "recorded": "Recorded boots",
    "5-qemu": "Whole machines, in QEMU: each row is a test, which passes or not",
}


def render(rows: Mapping[str, Scenario], outcomes: Sequence[Outcome], reboot_s: float) -> str:
    """Markdown, without a date and without a word about the machine."""
    parts = [HEAD.format(reboot=reboot_s)]
    for group, title in GROUPS.items():
        chosen = [row for row in rows.values() if row.group == group and any(one.scenario == row.name for one in outcomes)]
        if chosen:
            parts += [
                f"\n## {title}\n",
                "| row | what is wrong | agent | s | script | s | unverified |",
                "|---|---|---:|---:|---:|---:|---:|",
            ]
            parts += [_line(row, [one for one in outcomes if one.scenario == row.name]) for row in chosen]
    parts.append(f"\n{summary(rows, outcomes)}")
    return "\n".join(parts) + "\n"


def summary(rows: Mapping[str, Scenario], outcomes: Sequence[Outcome]) -> str:
    """One sentence for each loader."""
    lines = []
    for loader in Loader:
        runs = [one for one in outcomes if one.loader is loader]
        if runs:
            met = sum(one.meets(rows[one.scenario].expect) for one in runs)
            whole = sum(
                all(one.meets(rows[name].expect) for one in runs if one.scenario == name)
                for name in {one.scenario for one in runs}
            )
            count = len({one.scenario for one in runs})
            lines.append(f"The {loader}: {met} of {len(runs)} runs as they must be, {whole} of {count} rows in every run.")
    lines.append(f"Unverified boots: {sum(not one.verified for one in outcomes)}.")
    return " ".join(lines)


def to_json(outcomes: Sequence[Outcome]) -> str:
    """Every run, with the last lines of its console."""
    return json.dumps([asdict(one) for one in outcomes], indent=1) + "\n"


def _line(row: Scenario, outcomes: Sequence[Outcome]) -> str:
    what = f"{row.what} (*refuses*)" if row.expect is Expect.REFUSES else row.what
    what += f". Not yet: {row.not_yet}" if row.not_yet else ""
    cells = [cell for loader in Loader for cell in _cells(row, [one for one in outcomes if one.loader is loader])]
    unverified = sum(not one.verified for one in outcomes)
    return f"| {row.name} | {what} | {' | '.join(cells)} | {unverified if row.runner is Runner.NAMESPACE else ''} |"


def _cells(row: Scenario, outcomes: Sequence[Outcome]) -> tuple[str, str]:
    if not outcomes:
        return "", ""
    met = [one for one in outcomes if one.meets(row.expect)]
    dead = sum(one.came is Came.DEAD for one in outcomes)
    share = f"{len(met)}/{len(outcomes)}" + (f", {dead} dead" if dead else "")
    return share, f"{statistics.median(one.seconds for one in met):.0f}" if met and row.runner is Runner.NAMESPACE else ""
