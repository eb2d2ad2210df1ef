"""What a boot amounts to, told by the clock that is handed in."""

import json
from dataclasses import replace

import pytest

from bootpilot_agent.fields import Json
from bootpilot_server.deciding.boot_state import BootState, StateKind, describe_failure, ended_badly, state_of
from bootpilot_server.deciding.recipes import Expects
from bootpilot_server.deciding.records import BootRecord

PLAN: dict[str, Json] = {
    "payload_up_deadline_s": 100,
    "fetch_deadline_s": 1000,
    "boot": {"kernel": {"size": 60}, "initrds": [{"size": 30}], "files": [{"size": 10}], "dtb": {"policy": "running"}},
}
WAIT: dict[str, Json] = {**PLAN, "wait": {"reason": "not-approved", "text": "ask Irina", "retry_after_s": 20}}
BOOT = BootRecord(
    id="b", node_id="n", first_nonce="", started_at=0.0, planned_at=0.0, agent_version="", build_id="", plan=json.dumps(PLAN),
    why="[]", rule="lab", profile="ram-page", expects=Expects.PAYLOAD_UP, revision=1, event_rank=-1, event="", event_data="{}",
    handover_at=None, alive_at=None, failed_at=None, failure="", done_at=None, install_id=None,
)  # fmt: skip


def test_a_waiting_board_says_why() -> None:
    state = state_of(replace(BOOT, plan=json.dumps(WAIT)), 0)
    assert (state.kind, state.text) == (StateKind.WAITING, "not-approved: ask Irina")


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("", StateKind.PLANNED),
        ("planned", StateKind.PLANNED),
        ("fetching", StateKind.FETCHING),
        ("fetched", StateKind.LOADED),
        ("loaded", StateKind.LOADED),
    ],
)
def test_before_the_jump_the_latest_event_tells(event: str, kind: StateKind) -> None:
    assert state_of(replace(BOOT, event=event), 0).kind is kind


@pytest.mark.parametrize(
    ("data", "percent"),
    [('{"bytes": 25}', 25), ('{"bytes": 1000}', 100), ('{"bytes": "many"}', 0), ('{"bytes": -5}', 0), ("{}", 0)],
)
def test_progress_is_a_share_of_the_plans_bytes_whatever_a_board_says(data: str, percent: int) -> None:
    assert state_of(replace(BOOT, event="fetching", event_data=data), 0).percent == percent


def test_silence_after_the_jump_is_a_failure_once_the_deadline_is_over() -> None:
    jumped = replace(BOOT, event="handover", handover_at=500.0)
    assert state_of(jumped, 600.0).kind is StateKind.HANDOVER
    late = state_of(jumped, 600.1)
    assert (late.kind, late.is_failure) == (StateKind.PAYLOAD_SILENT, True)


def test_a_payload_that_need_not_report_is_never_silent() -> None:
    jumped = replace(BOOT, event="handover", handover_at=500.0, expects=Expects.NONE)
    assert state_of(jumped, 10**9).kind is StateKind.HANDOVER
    assert not ended_badly(jumped, 10**9)


def test_a_board_that_is_never_heard_of_again_is_silent_after_all_its_deadlines() -> None:
    assert state_of(replace(BOOT, event="fetching"), 1100.0).kind is StateKind.FETCHING
    assert state_of(replace(BOOT, event="fetching"), 1100.1).kind is StateKind.BOARD_SILENT


def test_a_late_word_from_the_payload_ends_the_silence() -> None:
    assert state_of(replace(BOOT, handover_at=0.0, alive_at=900.0, event="payload-up"), 10**9).kind is StateKind.PAYLOAD_UP


def test_an_installer_at_work_and_an_installation_done() -> None:
    assert state_of(replace(BOOT, alive_at=1.0, event="installing"), 2.0).kind is StateKind.INSTALLING
    assert state_of(replace(BOOT, done_at=1.0, install_id="x"), 2.0).kind is StateKind.INSTALLED


def test_a_failure_names_stage_message_and_hint() -> None:
    told = describe_failure({"stage": "verify", "message": "sha256 differs", "hint": "add it again", "more": 1})
    assert told == "verify: sha256 differs (hint: add it again)"
    assert describe_failure({}) == "no reason given"
    assert state_of(replace(BOOT, failed_at=1.0, failure=told), 0).text == told


def test_a_waiting_board_that_no_longer_asks_is_silent_and_has_not_failed() -> None:

    waiting = replace(BOOT, plan=json.dumps(WAIT), planned_at=1000.0)
    assert state_of(waiting, 1120.0) == BootState(StateKind.WAITING, "not-approved: ask Irina")
    silent = state_of(waiting, 1120.1)
    assert silent.kind is StateKind.SILENT
    assert "has not asked since 1970-01-01 00:16:40 UTC" in silent.text
    assert "ask Irina" in silent.text
    assert not silent.is_failure
    assert not ended_badly(waiting, 10**9)
