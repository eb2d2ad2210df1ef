"""Written faults laid over a recorded boot: what the agent survives, and where it first does something else."""

from pathlib import Path

import pytest

from scripts.replaying.errors import ReplayError
from scripts.replaying.in_process import play
from scripts.replaying.overlay import overlay_of
from scripts.replaying.stand_ins import make_stand_ins
from scripts.replaying.tape_reading import read_tape
from scripts.replaying.verdict import Answer, Verdict, judge
from scripts.scenarios.reading import find_scenario
from tests.replay.boots import record
from tests.replay.test_in_process import no_kernel

SURVIVED = (
    "server-503-with-retry-after",
    "server-500",
    "server-reset-at-50-percent",
    "server-ends-early",
    "server-stalls",
    "server-flipped-bit",
    "server-loses-answers",
    "server-ignores-range",
)
DEADLY = ("server-404-on-the-initrd", "server-flipped-bit-for-ever")


def replay_with(name: str, raw: bytes) -> Verdict:
    tape = read_tape(raw)
    return judge(tape, play(tape, make_stand_ins(tape), find_scenario(name)))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    (raw,) = record(tmp_path_factory.mktemp("boot"))
    return raw


@pytest.mark.parametrize("name", SURVIVED)
def test_a_fault_that_the_agent_survives_leads_to_the_same_kernel(name: str, recorded: bytes) -> None:
    verdict = replay_with(name, recorded)
    assert verdict.answer is Answer.RECOVERED, verdict.differences
    assert verdict.differences[0].got == "spoilt by the fault"
    assert verdict.exit_code == 0


@pytest.mark.parametrize("name", DEADLY)
def test_a_fault_that_ends_the_boot_is_no_recovery(name: str, recorded: bytes) -> None:
    verdict = replay_with(name, recorded)
    assert verdict.answer is Answer.DIFFERS
    assert verdict.differences[0].got == "spoilt by the fault"
    assert any(one.where == "the number of kexec calls" for one in verdict.differences)


def test_a_boot_that_failed_fails_with_a_fault_as_well(tmp_path: Path) -> None:
    (raw,) = record(tmp_path, no_kernel)
    assert replay_with("server-503-with-retry-after", raw).answer is Answer.RECOVERED


@pytest.mark.parametrize("name", ["adapter-after-20-s", "server-gzip-bomb", "server-restarts-in-the-download"])
def test_what_is_more_than_a_servers_answer_is_not_laid_over_a_recording(name: str) -> None:
    with pytest.raises(ReplayError, match="cannot be laid over a recording"):
        overlay_of(find_scenario(name))
