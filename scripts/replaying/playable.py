"""What can be played, recorded or written, found by one name: each has what must come of it, and gives a verdict.

FILE.bootrec is a recording, FILE.toml#NAME a written boot, NAME one of scripts/scenarios.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent.recording import MAX_PACKED_BYTES
from scripts.faults import matrix
from scripts.faults.outcome import Loader
from scripts.replaying.artifact_folder import ArtifactFolder
from scripts.replaying.errors import ReplayError
from scripts.replaying.namespace import prepare_stage
from scripts.replaying.playing import Options
from scripts.replaying.rows import TALK, row_of_exchange
from scripts.replaying.runners import IN_PROCESS, RUNNERS
from scripts.replaying.stand_ins import AtHand, make_stand_ins
from scripts.replaying.tape import Tape
from scripts.replaying.tape_reading import read_tape
from scripts.replaying.verdict import Answer, Difference, Verdict, judge
from scripts.scenarios.reading import ScenarioError, find_scenario
from scripts.scenarios.scenario import Scenario


@dataclass(frozen=True)
class Replayed:
    """How one replay went. `how` is its end, `console` what the agent said."""

    verdict: Verdict
    how: str
    console: str
    seconds: float


@dataclass(frozen=True)
class Recorded:
    """A recorded boot: the same must come of it."""

    tape: Tape
    runner: str
    artifacts: Path | None

    @property
    def expected(self) -> str:
        return f"the same as recorded: {self.tape.ending}"

    def play(self, options: Options) -> Replayed:
        """Raises ReplayError."""
        start_s = time.monotonic()
        at_hand: AtHand = ArtifactFolder(self.artifacts).read if self.artifacts else lambda sha256: None
        runner = RUNNERS[self.runner]
        if runner.name != IN_PROCESS and not any(row_of_exchange(one) == TALK for one in self.tape.exchanges):
            raise ReplayError(
                "before its first question nothing of a boot shows from outside", f"--runner {IN_PROCESS} sees it"
            )
        performed = runner.load()(self.tape, make_stand_ins(self.tape, at_hand, runner.arch), options)
        return Replayed(judge(self.tape, performed), performed.how, performed.console, time.monotonic() - start_s)


@dataclass(frozen=True)
class Written:
    """A written boot: what its author expects must come of it."""

    scenario: Scenario
    source: str

    @property
    def expected(self) -> str:
        return f"it {self.scenario.expect}: {self.scenario.what}"

    def play(self, options: Options) -> Replayed:
        """Raises ReplayError, FaultsError."""
        run = matrix.Run(self.scenario, Loader.AGENT, self.source)
        outcome = matrix.play(run, prepare_stage(options.shared), options.shared)
        same = outcome.meets(self.scenario.expect)
        missed = (
            () if same else (Difference("what came of it", self.expected, f"{outcome.came}, verified: {outcome.verified}"),)
        )
        verdict = Verdict(Answer.SAME if same else Answer.DIFFERS, missed, f"it {self.scenario.expect}, as it must")
        return Replayed(verdict, outcome.came, outcome.last_words, outcome.seconds)


def find(name: str, runner: str, artifacts: Path | None, until: str) -> Recorded | Written:
    """What this name stands for. Raises ReplayError, OSError."""
    path = Path(name)
    if path.is_file() and path.suffix != ".toml":
        tape = read_tape(read_file(path))
        return Recorded(tape.cut(until) if until else tape, runner or IN_PROCESS, artifacts)
    try:
        scenario = find_scenario(name)
    except ScenarioError as error:
        raise ReplayError(f"there is no file and no written boot {name!r}", str(error)) from error
    if until:
        raise ReplayError("--until is for recordings: a written boot is judged by its end")
    if runner and runner != scenario.runner:
        raise ReplayError(
            f"{scenario.name} is written for the runner {scenario.runner}", f"--runner {scenario.runner}, or none"
        )
    return Written(scenario, name)


def read_file(path: Path) -> bytes:
    """No more of it than a recording has. Raises OSError."""
    with path.open("rb") as file:
        return file.read(MAX_PACKED_BYTES + 1)
