"""A recorded boot as a row of the matrix: what came of it then must come of it again, with the agent of this checkout."""

import time
from dataclasses import dataclass
from pathlib import Path

from scripts.faults.errors import FaultsError
from scripts.faults.outcome import Came, Loader, Outcome
from scripts.faults.stage import Stage
from scripts.replaying.errors import ReplayError
from scripts.replaying.namespace import play_on
from scripts.replaying.stand_ins import make_stand_ins
from scripts.replaying.tape import Ending, Tape
from scripts.replaying.tape_reading import read_tape
from scripts.replaying.verdict import judge, kexec_differences
from scripts.scenarios.scenario import Expect, Scenario

GROUP = "recorded"


@dataclass(frozen=True)
class RecordedRow:
    """The tape, and the scenario that it stands for in the table."""

    tape: Tape
    scenario: Scenario


def read_row(path: Path) -> RecordedRow:
    """Raises FaultsError for a recording that cannot be played, OSError."""
    try:
        tape = read_tape(path.read_bytes())
    except ReplayError as error:
        raise FaultsError(f"{path}: {error.message}", error.hint) from error
    expect = Expect.REFUSES if tape.ending is Ending.FAILURE else Expect.BOOTS
    what = f"the boot {tape.header.boot_id}, as it was recorded"
    return RecordedRow(tape, Scenario(path.stem, what, GROUP, expect))


def play_recorded(row: RecordedRow, stage: Stage, folder: Path) -> Outcome:
    """One replay. Raises FaultsError where it could not be played."""
    start_s = time.monotonic()
    try:
        stand_ins = make_stand_ins(row.tape, arch="amd64")
        performed = play_on(stage, row.tape, stand_ins, folder)
    except ReplayError as error:
        raise FaultsError(f"{row.scenario.name}: {error.message}", error.hint) from error
    verdict = judge(row.tape, performed)
    came = Came.BOOTED if performed.kexecs else Came.REFUSED if row.scenario.expect is Expect.REFUSES else Came.NOTHING
    words = "\n".join([f"{verdict.answer}: {verdict.compared}", *map(str, verdict.differences), performed.console[-2000:]])
    verified = not performed.kexecs or not any(kexec_differences(row.tape, performed))
    return Outcome(row.scenario.name, Loader.AGENT, came, time.monotonic() - start_s, verified, 1, words)
