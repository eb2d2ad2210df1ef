"""Passed, failed or lost: told apart by what the second kernel says, and by what is on the console if it says nothing."""

import json

import pytest

from scripts.lab.verdict import Failed, Lost, Passed, Verdict, VerdictError, judge, read_verdict

LINE = {
    "verdict": "payload-up",
    "node_id": "n",
    "boot_id": "b",
    "cpus": 2,
    "kernel": "6.1",
    "address": "10.0.2.15",
    "mac": "52:54:00:49:c4:cf",
    "serial": "BP1",
}
CHANNEL = json.dumps(LINE) + "\n"
JUMP = "[   10.1] kexec_core: Starting new kernel\n"
DOUBLE_FAULT = "[    0.4] PANIC: double fault, error_code: 0x0\n"


def test_a_verdict_passes_whatever_else_happened() -> None:
    verdict = Verdict("n", "b", 2, "6.1", "10.0.2.15", "52:54:00:49:c4:cf", "BP1")
    assert judge(CHANNEL, "Kernel panic\n" + JUMP + DOUBLE_FAULT, "deadline passed") == Passed(verdict)


def test_half_a_line_is_no_verdict_yet() -> None:
    assert read_verdict(CHANNEL[:-1]) is None
    assert read_verdict("") is None


@pytest.mark.parametrize("text", ["hello\n", "[]\n", "{}\n", '{"verdict": "payload-down"}\n', '{"verdict": "payload-up"}\n'])
def test_anything_else_on_the_channel_is_a_failure(text: str) -> None:
    with pytest.raises(VerdictError):
        read_verdict(text)
    assert isinstance(judge(text, "", "deadline passed"), Failed)


@pytest.mark.parametrize(
    "fault", [DOUBLE_FAULT, "PANIC: early exception 0x08 IP 10:ffffffff\n", "double fault: 0000 [#1] PREEMPT SMP\n"]
)
def test_a_double_fault_of_the_second_kernel_is_lost(fault: str) -> None:
    assert isinstance(judge("", "Linux version 6.1\n" + JUMP + fault, "the machine was reset"), Lost)


def test_a_double_fault_before_the_jump_is_a_failure() -> None:
    assert isinstance(judge("", DOUBLE_FAULT, "the machine was reset"), Failed)


def test_silence_after_the_jump_is_a_failure_and_says_where() -> None:
    outcome = judge("", "line one\n" + JUMP, "deadline of 60 s passed")
    assert isinstance(outcome, Failed)
    assert "deadline of 60 s passed, after the jump into the second kernel" in outcome.why
    assert "    | line one" in outcome.why
