"""The command line of the fault matrix. Called by scripts/fault-matrix."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from bootpilot_agent.errors import AgentError
from bootpilot_agent.recording import SUFFIX
from initramfs.build import build_loader
from initramfs.errors import BuildError
from scripts.faults import table
from scripts.faults.errors import FaultsError
from scripts.faults.matrix import Run, run_all
from scripts.faults.outcome import Loader, Outcome
from scripts.faults.recorded_row import RecordedRow, read_row
from scripts.faults.stage import lay_out
from scripts.faults.world import REBOOT_S
from scripts.scenarios.reading import ScenarioError, read_rows
from scripts.scenarios.scenario import Runner, Scenario

RUNS = 3
ARCH = "amd64"


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 if the agent did what it must in every run, 1 if not, 2 where the matrix could not be run."""
    options = _parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        rows = read_rows()
        recorded = {
            row.scenario.name: row for row in map(read_row, (Path(name) for name in options.rows if is_recording(name)))
        }
        rows |= {name: row.scenario for name, row in recorded.items()}
        names = [Path(name).stem if is_recording(name) else name for name in options.rows]
        chosen = choose(rows, names, quick=options.quick, qemu=options.qemu)
        if options.list:
            for row in chosen:
                print(f"{row.name:40} {row.expect:8} {row.what}")
            return 0
        return run_matrix(rows, chosen, options, recorded)
    except (AgentError, BuildError, FaultsError, ScenarioError) as error:
        print(f"fault-matrix: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("fault-matrix: stopped", file=sys.stderr, flush=True)
        os._exit(2)  # not by the interpreter's own end, which waits for the threads of what still runs
    return 2


def choose(rows: dict[str, Scenario], names: list[str], *, quick: bool, qemu: bool) -> list[Scenario]:
    """The rows named, or all; those in QEMU only where they are asked for. Raises FaultsError for an unknown name."""
    unknown = [name for name in names if name not in rows]
    if unknown:
        raise FaultsError(f"there is no row {unknown[0]!r}", "scripts/fault-matrix --list shows all")
    if names:
        return [rows[name] for name in names]
    return [row for row in rows.values() if (row.quick or not quick) and (qemu or row.runner is Runner.NAMESPACE)]


def is_recording(name: str) -> bool:
    """A file, and no row."""
    return name.endswith(SUFFIX)


def run_matrix(
    rows: dict[str, Scenario], chosen: list[Scenario], options: argparse.Namespace, recorded: Mapping[str, RecordedRow]
) -> int:
    """Build, lay out, run, print. Raises what those raise."""
    loaders = (Loader.AGENT, Loader.SCRIPT) if options.baseline else (Loader.AGENT,)
    runs = [
        Run(row, loader, recorded=recorded.get(row.name))
        for _ in range(options.runs)
        for row in chosen
        for loader in loaders
        if loader is Loader.AGENT or (row.runner is Runner.NAMESPACE and row.name not in recorded)
    ]
    folder = Path(tempfile.mkdtemp(prefix="bootpilot-faults-"))
    folder.chmod(0o755)
    start_s = time.monotonic()
    try:
        os.umask(0o022)
        (folder / "stage").mkdir()
        stage = lay_out(build_loader(ARCH).initramfs, folder / "stage")
        if options.recordings:
            options.recordings.mkdir(parents=True, exist_ok=True)
        outcomes, failures = run_all(runs, stage, folder, options.jobs, lambda text: _say(start_s, text), options.recordings)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = table.render(rows, outcomes, REBOOT_S)
    if options.report:
        options.report.write_text(table.to_json(outcomes) if options.report.suffix == ".json" else text, encoding="utf-8")
    print(text if options.report is None else table.summary(rows, outcomes))
    agents = [one for one in outcomes if one.loader is Loader.AGENT and not rows[one.scenario].not_yet]
    bad = [one for one in agents if not one.meets(rows[one.scenario].expect)]
    for one in bad:
        _show(one)
    if failures:
        raise FaultsError("not every run could be made:\n" + "\n".join(failures))
    return 1 if bad or not all(one.verified for one in outcomes) else 0


def _show(outcome: Outcome) -> None:
    """What a person needs to see why: the board's last words."""
    print(f"\n{outcome.scenario}: {outcome.came}; the board's console ended with:\n{outcome.last_words}", file=sys.stderr)


def _say(start_s: float, text: str) -> None:
    print(f"{time.monotonic() - start_s:8.1f} s  {text}", file=sys.stderr, flush=True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fault-matrix", description="Play boots in which something goes wrong, and tell what came of each."
    )
    parser.add_argument(
        "rows",
        nargs="*",
        metavar="ROW",
        help="these rows only, or recordings (FILE.bootrec); default: all rows but those in QEMU",
    )
    parser.add_argument("--list", action="store_true", help="show the rows and run nothing")
    parser.add_argument("--baseline", action="store_true", help="run each row with the plain script too")
    parser.add_argument("--quick", action="store_true", help="only the rows that take seconds")
    parser.add_argument("--qemu", action="store_true", help="the rows in QEMU too, minutes each")
    parser.add_argument("--runs", type=int, default=RUNS, metavar="N", help=f"runs of each row (default: {RUNS})")
    parser.add_argument(
        "--jobs", type=int, default=3 * (os.cpu_count() or 1), metavar="N", help="runs at the same time (default: 3 per CPU)"
    )
    parser.add_argument(
        "--recordings", type=Path, metavar="FOLDER", help="ask each board for its recording, and keep it there as ROW.bootrec"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the table there: JSON if it ends so, else Markdown")
    return parser


if __name__ == "__main__":
    sys.exit(main())
