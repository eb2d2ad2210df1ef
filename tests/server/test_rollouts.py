"""Rollouts: wave by wave, as the boots of the nodes that were reached say, and never further than their limits."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootpilot_server.deciding.rollout_facts import Rollout, RolloutState, StopAt, Tally
from bootpilot_server.deciding.rollouts import advance
from bootpilot_server.serving.rollout_watch import look
from bootpilot_server.store import install_records
from tests.fakes import site
from tests.fakes.rollout_boards import OLD_RULE, Grid, GridBoard, make_grid, put_in_force

Output = pytest.CaptureFixture[str]


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[Grid]:
    yield from make_grid(tmp_path, 12)


def create(grid: Grid, *words: str, name: str = "autumn", profile: str = "new") -> int:
    where = () if "--where" in words else ("--where", "arch = arm64")
    return grid.run("rollout", "create", name, "--profile", profile, *where, *words)


def shown(grid: Grid, capsys: Output, name: str = "autumn") -> dict[str, Any]:
    capsys.readouterr()
    assert grid.run("rollout", "show", name, "--json") == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def boot_all(grid: Grid, *, well: bool = True) -> list[str]:
    """Every board boots once; those that get the new profile come up, or fail."""
    got = []
    for board in grid.boards:
        got.append(board.boot())
        if got[-1] in ("new", "disk"):
            if not well:
                board.fail()
            elif got[-1] == "new":
                board.come_up()
            else:
                board.finish_install()
    return got


def test_the_next_wave_begins_when_the_last_one_is_well(grid: Grid, capsys: Output) -> None:
    assert create(grid, "--wave", "1,3,rest") == 0
    first, *others = grid.boards
    assert first.boot() == "new"
    assert [board.boot() for board in others] == ["old"] * 11
    first.come_up()
    assert [board.boot() for board in others[:5]] == ["new", "new", "new", "old", "old"]
    for board in others[:2]:
        board.come_up()
    assert others[5].boot() == "old"
    others[2].come_up()
    assert [board.boot() for board in others[3:]] == ["new"] * 8
    told = shown(grid, capsys)
    assert (told["wave"], told["reached"], told["well"], told["failed"], told["nodes"]) == (3, 12, 4, 0, 12)
    assert [entry["text"] for entry in told["history"]][1:] == ["wave 2 of 3 is open", "wave 3 of 3 is open"]


def test_a_node_that_was_reached_keeps_the_profile_at_every_boot(grid: Grid) -> None:
    create(grid, "--wave", "1,rest")
    board = grid.boards[0]
    for _ in range(3):
        assert board.boot() == "new"
    board.come_up()
    assert board.boot() == "new"


@pytest.mark.parametrize(("stop_at", "reached"), [("1", 1), ("3", 3), ("50%", 5)])
def test_it_stops_at_as_many_failures_as_it_was_told(grid: Grid, capsys: Output, stop_at: str, reached: int) -> None:
    create(grid, "--wave", "10,rest", "--stop-at", stop_at)
    assert boot_all(grid, well=False) == ["new"] * reached + ["old"] * (12 - reached)
    told = shown(grid, capsys)
    assert (told["state"], told["failed"]) == ("stopped", reached)
    assert told["why"] == f"{reached} of {reached} nodes failed, and it stops at {stop_at}"
    assert told["failed_nodes"][0]["why"] == "no space left on the disk"
    assert "stopped: " in told["history"][-1]["text"]


def test_failures_below_the_limit_do_not_hold_up_the_next_wave(grid: Grid, capsys: Output) -> None:
    create(grid, "--wave", "4,rest", "--stop-at", "3")
    for number, board in enumerate(grid.boards[:4]):
        board.boot()
        board.fail() if number < 2 else board.come_up()
    assert grid.boards[5].boot() == "new"
    told = shown(grid, capsys)
    assert (told["state"], told["wave"], told["failed"]) == ("running", 2, 2)


def test_a_node_that_comes_up_after_all_is_no_failure_any_more(grid: Grid, capsys: Output) -> None:
    create(grid, "--wave", "2,rest", "--stop-at", "2")
    board = grid.boards[0]
    board.boot()
    board.fail()
    assert shown(grid, capsys)["failed"] == 1
    board.boot()
    assert shown(grid, capsys)["failed"] == 1
    board.come_up()
    assert (shown(grid, capsys)["failed"], shown(grid, capsys)["well"]) == (0, 1)


@pytest.mark.parametrize("handover", [False, True])
def test_silence_is_a_failure_when_its_time_is_over(grid: Grid, capsys: Output, handover: bool) -> None:
    create(grid, "--wave", "1,rest", "--stop-at", "1")
    grid.boards[0].boot()
    if handover:
        grid.boards[0].tell("handover", seq=3)
    grid.now += 250
    assert grid.boards[1].boot() == "old"
    assert shown(grid, capsys)["state"] == "running"
    grid.now += 4000
    assert grid.boards[1].boot() == "old"
    told = shown(grid, capsys)
    assert (told["state"], told["failed"]) == ("stopped", 1)


def test_a_board_that_comes_back_from_the_jump_without_a_word_has_failed(grid: Grid, capsys: Output) -> None:
    create(grid, "--wave", "1,rest", "--stop-at", "1")
    grid.boards[0].boot()
    grid.boards[0].tell("handover", seq=3)
    grid.boards[0].boot()
    assert shown(grid, capsys)["state"] == "stopped"


def test_the_soak_is_waited_for(grid: Grid) -> None:
    create(grid, "--wave", "1,rest", "--soak", "10m")
    grid.boards[0].boot()
    grid.boards[0].come_up()
    assert grid.boards[1].boot() == "old"
    grid.now += 599
    assert grid.boards[1].boot() == "old"
    grid.now += 1
    assert grid.boards[1].boot() == "new"


def test_a_node_that_fails_during_the_soak_counts(grid: Grid, capsys: Output) -> None:
    create(grid, "--wave", "1,rest", "--soak", "10m", "--stop-at", "1")
    grid.boards[0].boot()
    grid.boards[0].come_up()
    grid.now += 60
    grid.boards[0].boot()
    grid.boards[0].fail()
    grid.now += 600
    assert grid.boards[1].boot() == "old"
    assert shown(grid, capsys)["state"] == "stopped"


def test_no_more_than_max_concurrent_are_under_way_and_the_others_queue(grid: Grid) -> None:
    create(grid, "--wave", "rest", "--max-concurrent", "2")
    for board, expected in zip(grid.boards[:5], ["new", "new", "no-slot", "no-slot", "no-slot"], strict=True):
        grid.now += 1
        assert board.boot() == expected
    plan = grid.boards[4].plan
    assert plan is not None
    assert plan.wait is not None
    assert plan.wait.text == "slot not yet free in rollout autumn: 2 of 2 in use, this board is number 3 in the queue"
    grid.boards[0].come_up()
    grid.now += 1
    assert grid.boards[4].gets() == "no-slot"
    assert grid.boards[2].gets() == "new"
    assert grid.boards[3].gets() == "no-slot"


def test_paused_it_reaches_nobody_and_resumed_it_goes_on(grid: Grid, capsys: Output) -> None:
    create(grid, "--wave", "2,rest")
    assert grid.boards[0].boot() == "new"
    assert grid.run("rollout", "pause", "autumn", "--as", "irina") == 0
    assert [board.boot() for board in grid.boards[:3]] == ["new", "old", "old"]
    assert grid.run("rollout", "pause", "autumn") == 1
    assert "it must be running" in capsys.readouterr().err
    assert grid.run("rollout", "resume", "autumn") == 0
    assert grid.boards[1].boot() == "new"
    assert [(entry["by"], entry["text"]) for entry in shown(grid, capsys)["history"]][1] == ("irina", "running -> paused")


def test_one_that_stopped_is_resumed_with_another_limit_only(grid: Grid, capsys: Output) -> None:
    create(grid, "--wave", "10,rest", "--stop-at", "1")
    grid.boards[0].boot()
    grid.boards[0].fail()
    assert grid.run("rollout", "resume", "autumn") == 1
    assert "would stop again at once: 1 of 1 nodes failed" in capsys.readouterr().err
    assert grid.run("rollout", "resume", "autumn", "--stop-at", "5") == 0
    assert grid.boards[1].boot() == "new"


def test_aborted_it_reaches_nobody_and_those_that_it_reached_keep_the_profile(grid: Grid) -> None:
    create(grid, "--wave", "2,rest")
    assert [board.boot() for board in grid.boards[:3]] == ["new", "new", "old"]
    grid.run("rollout", "abort", "autumn")
    assert [board.boot() for board in grid.boards[:3]] == ["new", "new", "old"]
    grid.run("rollout", "abort", "autumn", "--back")
    assert [board.boot() for board in grid.boards[:3]] == ["old", "old", "old"]


def test_back_is_the_former_profile_even_where_the_rules_have_followed_already(grid: Grid) -> None:
    create(grid, "--wave", "1,rest")
    assert grid.boards[0].boot() == "new"
    put_in_force(grid, rules__lab='priority = 10\nprofile = "new"\n')
    grid.run("rollout", "abort", "autumn", "--back")
    assert [board.boot() for board in grid.boards[:2]] == ["old", "new"]


def test_finished_it_counts_no_more(grid: Grid, capsys: Output) -> None:
    create(grid, "--wave", "rest")
    assert grid.boards[0].boot() == "new"
    assert grid.run("rollout", "finish", "autumn") == 0
    assert grid.boards[0].boot() == "old"
    assert create(grid) == 1
    assert "there is a rollout autumn already" in capsys.readouterr().err
    assert create(grid, name="winter") == 0


def test_an_installer_runs_once_on_each_node_under_the_rollouts_name(grid: Grid) -> None:
    create(grid, "--wave", "2,rest", profile="disk")
    assert [board.boot() for board in grid.boards[:3]] == ["disk", "disk", "old"]
    for board in grid.boards[:2]:
        board.finish_install()
        assert board.boot() == "local"
    assert grid.boards[2].boot() == "disk"
    grid.boards[2].finish_install()
    put_in_force(grid, rules__lab='priority = 10\nprofile = "disk"\ninstall = "autumn"\n')
    grid.run("rollout", "finish", "autumn")
    assert [board.boot() for board in grid.boards[:4]] == ["local", "local", "local", "disk"]


def test_an_install_whose_word_was_lost_is_well_when_the_next_question_shows_it_done(grid: Grid, capsys: Output) -> None:
    create(grid, "--wave", "1,rest", profile="disk")
    board = grid.boards[0]
    board.boot()
    plan = board.plan
    assert plan is not None
    assert plan.install_id is not None
    with grid.server.database.writing() as connection:
        install_records.finish(connection, plan.node_id, plan.install_id, grid.now)
    assert board.boot() == "local"
    assert shown(grid, capsys)["well"] == 1


def test_a_profile_that_cannot_be_given_takes_one_wave_down_and_not_the_grid(grid: Grid, capsys: Output) -> None:
    create(grid, "--wave", "2,rest", "--stop-at", "2")
    put_in_force(grid, profiles__new='expects = "payload-up"\n[kernel]\nsha256 = "' + "0" * 64 + '"\n')
    for path in grid.server.config.artifacts.iterdir():
        path.unlink()
    boards = grid.boards[:4]
    assert [board.boot() for board in boards] == ["no-usable-plan"] * 4
    told = shown(grid, capsys)
    assert (told["state"], told["reached"], told["failed"]) == ("stopped", 2, 2)


def test_a_board_that_cannot_do_it_goes_on_by_the_rules_and_is_not_counted(grid: Grid, capsys: Output) -> None:
    create(grid, "--wave", "2,rest")
    put_in_force(grid, profiles__new='requires = ["dtb:file+fixups"]\n' + site.profile())
    assert grid.boards[0].boot() == "old"
    assert shown(grid, capsys)["reached"] == 0


def test_boards_that_nobody_approved_are_in_no_rollout(grid: Grid, capsys: Output) -> None:
    create(grid, "--wave", "rest")
    assert GridBoard(grid, 900).boot() == "not-approved"
    put_in_force(grid, rules__lab=OLD_RULE + "admit = true\n")
    assert GridBoard(grid, 901).boot() == "old"
    assert shown(grid, capsys)["reached"] == 0


def test_two_rollouts_that_mean_one_node_are_refused(grid: Grid, capsys: Output) -> None:
    create(grid, "--wave", "1,rest", "--where", "cpus >= 4")
    assert create(grid, "--where", "memory_mib >= 4096", name="winter") == 1
    told = capsys.readouterr().err
    assert "rollout autumn (running) means 12 of these nodes too" in told
    assert create(grid, "--where", "cpus < 4", name="spring") == 0
    grid.run("rollout", "abort", "autumn")
    assert create(grid, "--where", "memory_mib >= 4096", name="winter") == 1
    grid.run("rollout", "finish", "autumn")
    assert create(grid, "--where", "memory_mib >= 4096", name="winter") == 0


def test_explain_says_why_a_rollout_has_or_has_not_reached_a_node(grid: Grid, capsys: Output) -> None:
    def why(number: int) -> str:
        capsys.readouterr()
        assert grid.run("explain", f"10000000ab{number:06x}") == 0
        return capsys.readouterr().out

    create(grid, "--wave", "1,rest")
    assert "profile new by rollout autumn" in why(0)
    grid.boards[0].boot()
    assert "rule lab (priority 10) lost: rollout autumn stands before it" in why(0)
    assert "rollout autumn lost: its turn has not come: wave 1 of 2 has its 1 nodes, 0 of them settled" in why(1)
    assert "profile old by rule lab (priority 10)" in why(1)
    grid.run("rollout", "pause", "autumn")
    assert "rollout autumn lost: it is paused and reaches no further nodes" in why(1)
    grid.run("rollout", "abort", "autumn", "--back")
    assert "profile old by rollout autumn (back)" in why(0)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--wave", "0,rest"), "--wave 0,rest: expected numbers from 1"),
        (("--wave", "rest,5"), "expected numbers from 1"),
        (("--wave", ""), "expected numbers from 1"),
        (("--stop-at", "0"), "expected a number of nodes from 1, or a part such as 3%"),
        (("--stop-at", "200%"), "expected a number of nodes from 1"),
        (("--soak", "ten"), "--soak ten: expected a span"),
        (("--max-concurrent", "-1"), "expected a number from 0"),
        (("--where", "rack = r7"), "a label is written label.rack"),
    ],
)
def test_words_that_make_no_rollout_are_refused(grid: Grid, capsys: Output, words: tuple[str, ...], told: str) -> None:
    assert create(grid, *words) == 2
    assert told in capsys.readouterr().err


def test_a_profile_that_is_not_in_force_is_refused(grid: Grid, capsys: Output) -> None:
    assert create(grid, profile="never") == 1
    assert "it has: disk, new, old" in capsys.readouterr().err


def test_a_rollout_over_many_nodes_is_asked_about(tmp_path: Path, capsys: Output) -> None:
    for grid in make_grid(tmp_path, 21):
        assert create(grid) == 1
        assert "--yes says that it is meant" in capsys.readouterr().err
        assert create(grid, "--yes") == 0


def test_a_killed_server_goes_on_where_it_was(grid: Grid, capsys: Output) -> None:
    create(grid, "--wave", "1,3,rest")
    for expected in (["new"] + ["old"] * 11, ["new"] * 4 + ["old"] * 8, ["new"] * 12):
        got = []
        for board in grid.boards:
            grid.reopen()
            got.append(board.boot())
        assert got == expected
        for board, profile in zip(grid.boards, got, strict=True):
            grid.reopen()
            if profile == "new":
                board.come_up()
    told = shown(grid, capsys)
    assert (told["reached"], told["well"]) == (12, 12)


def test_it_moves_on_while_nobody_asks(grid: Grid, capsys: Output) -> None:
    create(grid, "--wave", "1,rest", "--soak", "10m", "--stop-at", "1")
    grid.boards[0].boot()
    grid.boards[0].come_up()
    look(grid.server.database, grid.now + 300)
    assert shown(grid, capsys)["wave"] == 1
    look(grid.server.database, grid.now + 601)
    assert shown(grid, capsys)["wave"] == 2
    grid.boards[1].boot()
    look(grid.server.database, grid.now + 8000)
    assert shown(grid, capsys)["state"] == "stopped"


def test_a_clock_that_was_set_back_holds_nothing_up(grid: Grid, capsys: Output) -> None:
    create(grid, "--wave", "1,rest", "--stop-at", "1")
    look(grid.server.database, grid.now + 10_000_000)
    grid.boards[0].boot()
    grid.now += 4000
    assert grid.boards[1].boot() == "old"
    assert shown(grid, capsys)["state"] == "stopped"


SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple)


@settings(max_examples=200, deadline=None)
@given(SIZES, st.sampled_from(["1", "2", "5", "10%", "100%"]), st.lists(st.booleans(), max_size=40), st.booleans())
def test_no_more_nodes_are_reached_than_the_failures_so_far_allow(
    waves: tuple[int, ...], stop_at: str, fates: list[bool], rest: bool
) -> None:
    """A grid where every node settles at once: whatever happens, waves open in order and failures end it."""
    rollout = Rollout("r", (), "new", (*waves, 0) if rest else waves, StopAt.from_text(stop_at), total=40)
    tally = Tally()
    for is_well in fates:
        moved = advance(rollout, tally, 1.0)
        assert moved.wave in (rollout.wave, rollout.wave + 1)
        if moved.wave != rollout.wave:
            assert tally.settled == tally.taken == rollout.size
            tally = replace(tally, taken=0, settled=0)
        rollout = moved
        if rollout.state is not RolloutState.RUNNING or (rollout.size is not None and tally.taken >= rollout.size):
            break
        settled = replace(tally, taken=tally.taken + 1, settled=tally.settled + 1)
        tally = replace(settled, reached=tally.reached + 1, failed=tally.failed + (not is_well))
    assert tally.failed <= rollout.stop_at.limit(rollout.opened)
    assert advance(rollout, replace(tally, failed=100), 1.0).state is RolloutState.STOPPED
