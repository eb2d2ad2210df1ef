"""Runs rows of the matrix, several at once: they mostly wait. Starts one process for each run; judges no outcome."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent.errors import CommandError
from bootpilot_agent.recording import SUFFIX
from bootpilot_agent.run import run as run_program
from scripts.faults.confinement import NOBODY
from scripts.faults.errors import FaultsError
from scripts.faults.outcome import Came, Loader, Outcome
from scripts.faults.recorded_row import RecordedRow, play_recorded
from scripts.faults.stage import Stage
from scripts.scenarios.scenario import Runner, Scenario

CHECKOUT = Path(__file__).resolve().parents[2]
# On top of a scenario's own limit: namespaces, the payload's making, and a machine that is busy.
MORE_S = 120
QEMU_S = 1800


@dataclass(frozen=True)
class Run:
    """One row once, by one loader. `source`: where the scenario is written, if not among the rows. `recorded`: it is a
    recording.
    """

    scenario: Scenario
    loader: Loader
    source: str = ""
    recorded: RecordedRow | None = None


def run_all(
    runs: Sequence[Run], stage: Stage, folder: Path, jobs: int, say: Callable[[str], None], recordings: Path | None = None
) -> tuple[list[Outcome], list[str]]:
    """The outcomes in the order of `runs`, and where the harness failed. Those in QEMU come last, one at a time.

    With `recordings` each board in a namespace is asked for its recording, which is kept there.
    """
    outcomes: dict[int, Outcome] = {}
    failures = []
    for runner, at_once in ((Runner.NAMESPACE, jobs), (Runner.QEMU, 1)):
        chosen = [number for number, run in enumerate(runs) if run.scenario.runner is runner]
        pool = ThreadPoolExecutor(at_once)
        try:
            futures = {
                pool.submit(play, runs[number], stage, folder, _recording(recordings, runs, number)): number
                for number in chosen
            }
            for future in as_completed(futures):
                number = futures[future]
                try:
                    outcome = outcomes[number] = future.result()
                except (CommandError, FaultsError) as error:
                    failures.append(str(error))
                    say(str(error))
                    continue
                met = "as it must" if outcome.meets(runs[number].scenario.expect) else "NOT as it must"
                say(f"{outcome.scenario}, {outcome.loader}: {outcome.came} after {outcome.seconds:.1f} s, {met}")
        except BaseException:
            # Nobody waits for those that run: they end with this process (PR_SET_PDEATHSIG in cell.py).
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        pool.shutdown()
    return [outcomes[number] for number in sorted(outcomes)], failures


def _recording(folder: Path | None, runs: Sequence[Run], number: int) -> Path | None:
    """The file for this run's recording: named as the scenario, with a number where it is not the first of its kind."""
    if folder is None or runs[number].loader is not Loader.AGENT:
        return None
    earlier = sum(1 for run in runs[:number] if run == runs[number])
    return folder / (runs[number].scenario.name + (f"-{earlier + 1}" if earlier else "") + SUFFIX)


def play(run: Run, stage: Stage, folder: Path, recording: Path | None = None) -> Outcome:
    """One run, in a process and a folder of its own. Raises FaultsError, OSError or CommandError where the harness failed.

    `recording` is the file that the board's recording becomes, if one is wanted, and one came.
    """
    if run.recorded is not None:
        return play_recorded(run.recorded, stage, folder)
    if run.scenario.runner is Runner.QEMU:
        return _play_in_qemu(run)
    place = Path(tempfile.mkdtemp(prefix=f"{run.scenario.name}-{run.loader}-", dir=folder))
    if os.getuid() == 0:
        os.chown(place, NOBODY, NOBODY)
    argv = [sys.executable, "-B", "-m", "scripts.faults.cell"]
    argv += [run.source or run.scenario.name, run.loader, str(stage.folder), str(place)]
    argv += ["record"] if recording else []
    paths = ":".join(str(CHECKOUT / name) for name in ("", "agent", "server-stub"))
    done = run_program(argv, timeout_s=run.scenario.limit_s + MORE_S, check=False, extra={"PYTHONPATH": paths})
    if done.returncode != 0:
        raise FaultsError(f"{run.scenario.name}: the harness failed:\n{done.stderr.strip()[-4000:]}")
    if recording and (place / "recording").exists():
        recording.write_bytes((place / "recording").read_bytes())
    return Outcome.from_json(done.stdout.splitlines()[-1])


def _play_in_qemu(run: Run) -> Outcome:
    """The test that boots this row's machine: as it must, if it passes. The script has no such test."""
    start_s = time.monotonic()
    argv = [str(CHECKOUT / "scripts/test"), "--long", "-n", "0", run.scenario.test]
    done = run_program(argv, timeout_s=QEMU_S, check=False)
    came = {True: Came.BOOTED, False: Came.NOTHING}[done.returncode == 0]
    if came is Came.BOOTED and run.scenario.expect == "refuses":
        came = Came.REFUSED
    words = done.stdout[-2000:]
    return Outcome(run.scenario.name, run.loader, came, time.monotonic() - start_s, True, 1, words)
