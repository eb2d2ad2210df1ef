"""Deadlines, growing waits, and what follows which failure."""

import itertools

import pytest

from bootpilot_agent import errors
from bootpilot_agent.deadline import Deadline, clamp_retry_after, growing_waits, jittered
from bootpilot_agent.errors import AgentError, FetchError, KexecReturnedError, NetworkError, PlanError, ServerError
from bootpilot_agent.recover import WAITS, recover

FAMILIES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AgentError)]


def test_a_deadline_counts_down_and_never_below_zero() -> None:
    now = [100.0]
    deadline = Deadline.after(5, lambda: now[0])
    assert deadline.remaining_s() == 5
    assert not deadline.passed()
    now[0] = 103.0
    assert deadline.within(1).remaining_s() == 1
    assert deadline.within(100).remaining_s() == 2
    now[0] = 200.0
    assert deadline.remaining_s() == 0
    assert deadline.passed()


def test_waits_grow_to_their_limit() -> None:
    assert list(itertools.islice(growing_waits(1, 5, lambda: 0.0), 5)) == [1, 2, 4, 5, 5]


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_a_jittered_wait_is_never_shorter_than_asked_for(chance: float) -> None:
    assert 60 <= jittered(60, lambda: chance) <= 75


@pytest.mark.parametrize(("asked_s", "kept_s"), [(0, 1), (0.5, 1), (30, 30), (10**9, 3600)])
def test_no_server_makes_a_board_hammer_it_or_sleep_for_a_day(asked_s: float, kept_s: float) -> None:
    assert clamp_retry_after(asked_s) == kept_s


@pytest.mark.parametrize("family", FAMILIES)
def test_every_failure_is_followed_by_a_wait_that_grows_and_stays_bounded(family: type[AgentError]) -> None:
    waits = [recover(family("it failed"), failures, lambda: 0.0).wait_s for failures in (1, 2, 3, 50, 10_000)]
    assert waits == sorted(waits)
    assert 1 <= waits[0] <= 60
    assert waits[-1] <= 900


def test_only_a_jump_that_came_back_ends_in_a_reboot() -> None:
    assert [family for family, waits in WAITS if waits.reboot] == [KexecReturnedError]
    assert recover(KexecReturnedError("back again"), 1, lambda: 0.0).reboot


@pytest.mark.parametrize("family", FAMILIES)
def test_a_loader_gives_way_for_what_it_may_itself_be_the_cause_of_and_not_at_once(family: type[AgentError]) -> None:
    foreign = (errors.SettingsError, FetchError, errors.VerifyError, ServerError, NetworkError, KexecReturnedError)
    gives_way = [recover(family("it failed"), failures, lambda: 0.0).gives_way for failures in (1, 2, 3, 50)]
    assert gives_way == ([False] * 4 if issubclass(family, foreign) else [False, False, True, True])


def test_a_cable_is_looked_at_more_often_than_a_plan_that_needs_a_person() -> None:
    assert recover(NetworkError("no lease"), 1, lambda: 0.0).wait_s < recover(FetchError("slow"), 1, lambda: 0.0).wait_s
    assert recover(FetchError("slow"), 1, lambda: 0.0).wait_s < recover(PlanError("wrong"), 1, lambda: 0.0).wait_s


def test_a_server_that_names_a_time_gets_it() -> None:
    assert recover(ServerError("busy", retry_after_s=1234), 1, lambda: 0.0).wait_s == 1234


def test_stages_and_exit_codes_are_stable() -> None:
    assert {family.__name__: (family.stage, family.exit_code) for family in FAMILIES} == {
        "AgentError": ("agent", 70),
        "SettingsError": ("settings", 64),
        "DriverError": ("drivers", 65),
        "NetworkError": ("network", 66),
        "TransportError": ("network", 66),
        "ServerError": ("server", 67),
        "QuestionRefusedError": ("server", 67),
        "PlanError": ("plan", 68),
        "MemoryTooSmallError": ("memory", 69),
        "FetchError": ("fetch", 71),
        "VerifyError": ("verify", 72),
        "LocalBootError": ("local", 76),
        "KexecError": ("kexec", 73),
        "KexecReturnedError": ("kexec", 75),
        "CommandError": ("command", 74),
    }
