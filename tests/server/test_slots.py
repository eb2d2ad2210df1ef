"""Slots: so many installs and large downloads at once, first come first served, and none is ever lost."""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import func, select

from bootpilot_server.store.schema import boots, nodes
from tests.fakes.rollout_boards import Grid, GridBoard, make_grid, put_in_force
from tests.fakes.server_process import ENVIRONMENT, ROOT
from tests.fakes.site import profile

INSTALL = 'priority = 20\nprofile = "disk"\ninstall = "autumn"\n'
BIG = "large_mib = 0\n" + profile()


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[Grid]:
    """Eight boards that a rule installs, two at a time."""
    for grid in make_grid(tmp_path, 8, max_concurrent=2):
        put_in_force(grid, rules__disk=INSTALL)
        yield grid


def used(grid: Grid) -> int:
    with grid.server.database.reading() as connection:
        held = select(func.count()).select_from(boots.join(nodes, nodes.c.current_boot == boots.c.id))
        return connection.execute(held.where(boots.c.slot_until > grid.now)).scalar_one()


def start(grid: Grid, *numbers: int) -> list[str]:
    got = []
    for number in numbers:
        grid.now += 1
        got.append(grid.boards[number].boot())
    return got


def test_so_many_install_at_once_and_the_others_wait_with_their_place(grid: Grid) -> None:
    assert start(grid, 0, 1, 2, 3) == ["disk", "disk", "no-slot", "no-slot"]
    plan = grid.boards[3].plan
    assert plan is not None
    assert plan.wait is not None
    assert plan.wait.text == "slot not yet free: 2 of 2 in use, this board is number 2 in the queue"
    assert plan.wait.retry_after_s == 30


def test_a_wait_for_a_slot_takes_no_install(grid: Grid) -> None:
    start(grid, 0, 1, 2)
    for _ in range(20):
        grid.now += 30
        assert grid.boards[2].gets() == "no-slot"
    grid.boards[0].finish_install()
    assert grid.boards[2].gets() == "disk"


@pytest.mark.parametrize("end", ["done", "failed", "next boot", "silence", "install overdue"])
def test_a_slot_is_free_again_by_whatever_ends_the_install(grid: Grid, end: str) -> None:
    start(grid, 0, 1, 2)
    board = grid.boards[0]
    if end == "done":
        board.finish_install()
    elif end == "failed":
        board.fail()
    elif end == "next boot":
        board.finish_install()
        board.boot()
    elif end == "silence":
        board.tell("handover", seq=3)
        grid.now += 301
    elif end == "install overdue":
        for other in grid.boards[:2]:
            other.tell("handover", seq=3)
            other.tell("installing", "installer", seq=1)
        grid.now += 7100
        assert grid.boards[2].gets() == "no-slot"
        grid.now += 200
    assert grid.boards[2].gets() == "disk"


def test_a_board_that_never_says_a_word_gives_its_slot_back_by_its_deadlines(grid: Grid) -> None:
    start(grid, 0, 1)
    grid.now += 3600 + 300 + 1
    assert start(grid, 2, 3, 4) == ["disk", "disk", "no-slot"]


def test_a_board_in_mid_install_that_loses_its_power_takes_its_own_slot_again(grid: Grid) -> None:
    start(grid, 0, 1)
    grid.boards[0].tell("handover", seq=3)
    grid.boards[0].tell("installing", "installer", seq=1)
    assert start(grid, 0) == ["disk"]
    assert used(grid) == 2


def test_whoever_came_first_is_first(grid: Grid) -> None:
    start(grid, 0, 1, 2, 3)
    grid.boards[0].finish_install()
    assert start(grid, 4) == ["no-slot"]
    assert grid.boards[3].gets() == "no-slot"
    assert grid.boards[2].gets() == "disk"
    grid.boards[1].finish_install()
    assert grid.boards[4].gets() == "no-slot"
    assert grid.boards[3].gets() == "disk"


def test_a_board_that_went_away_holds_nobody_up(grid: Grid) -> None:
    start(grid, 0, 1, 2, 3)
    grid.boards[0].finish_install()
    for _ in range(6):
        grid.now += 30
        got = grid.boards[3].gets()
    assert got == "disk"


def test_a_board_that_was_switched_off_and_on_keeps_its_place(grid: Grid) -> None:
    start(grid, 0, 1, 2, 3)
    start(grid, 2)
    grid.boards[0].finish_install()
    assert grid.boards[3].gets() == "no-slot"
    assert grid.boards[2].gets() == "disk"


def test_large_downloads_take_slots_until_the_jump_and_small_ones_none(grid: Grid) -> None:
    put_in_force(grid, rules__lab='priority = 30\nprofile = "big"\n', profiles__big=BIG)
    assert start(grid, 0, 1, 2) == ["big", "big", "no-slot"]
    grid.boards[0].tell("handover", seq=3)
    assert grid.boards[2].gets() == "big"
    put_in_force(grid, rules__lab='priority = 30\nprofile = "old"\n')
    assert start(grid, 3, 4, 5, 6) == ["old"] * 4


def test_a_download_that_was_served_is_not_counted_after_its_deadline(grid: Grid) -> None:
    put_in_force(grid, rules__lab='priority = 30\nprofile = "big"\n', profiles__big=BIG)
    start(grid, 0, 1)
    grid.now += 3601
    assert start(grid, 2, 3, 4) == ["big", "big", "no-slot"]


def test_without_a_bound_nobody_waits(tmp_path: Path) -> None:
    for grid in make_grid(tmp_path, 5):
        put_in_force(grid, rules__disk=INSTALL)
        assert start(grid, *range(5)) == ["disk"] * 5


def test_explain_says_where_a_board_stands_and_changes_nothing(grid: Grid, capsys: pytest.CaptureFixture[str]) -> None:
    grid.now = time.time() - 10
    start(grid, 0, 1, 2)
    capsys.readouterr()
    for _ in range(2):
        assert grid.run("explain", "10000000ab000003") == 0
        assert "slot not yet free: 2 of 2 in use, this board is number 2 in the queue" in capsys.readouterr().out


class Slots(RuleBasedStateMachine):
    """Boards that install, fail, vanish and come back, with a server that is killed at any time: never too many at once, and
    in the end everybody has been served.
    """

    LIMIT = 2

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="bootpilot-slots-")
        self.grids = make_grid(Path(self.folder.name), 5, max_concurrent=self.LIMIT)
        self.grid = next(self.grids)
        put_in_force(self.grid, rules__disk=INSTALL)
        for board in self.grid.boards:
            board.power_on()

    @rule(number=st.integers(0, 4))
    def power_on(self, number: int) -> None:
        self.grid.boards[number].power_on()

    @rule(number=st.integers(0, 4), passed=st.sampled_from([0, 1, 30]))
    def ask(self, number: int, passed: int) -> None:
        self.grid.now += passed
        self.grid.boards[number].gets()

    @rule(number=st.integers(0, 4), deed=st.sampled_from(["handover", "finish", "fail"]))
    def say(self, number: int, deed: str) -> None:
        board = self.grid.boards[number]
        if board.plan is None or board.plan.boot is None or not board.plan.writes_disk:
            return
        if deed == "handover":
            board.tell("handover", seq=3)
        elif deed == "finish":
            board.finish_install()
        else:
            board.fail()
            board.power_on()

    @rule(seconds=st.sampled_from([100, 400, 5000]))
    def wait(self, seconds: int) -> None:
        self.grid.now += seconds
        for board in self.grid.boards:
            board.power_on()

    @rule()
    def kill(self) -> None:
        self.grid.reopen()

    @precondition(lambda self: hasattr(self, "grid"))
    @invariant()
    def never_too_many(self) -> None:
        assert used(self.grid) <= self.LIMIT

    def teardown(self) -> None:
        if not hasattr(self, "grid"):
            return
        try:
            # Whatever happened: after the longest deadline every slot is free, and one board after the other gets its turn.
            for _ in range(3):
                self.grid.now += 20_000
                assert used(self.grid) == 0
                for board in self.grid.boards:
                    self.settle(board)
        finally:
            self.grids.close()
            self.folder.cleanup()

    def settle(self, board: GridBoard) -> None:
        got = board.boot()
        assert got in ("disk", "local", "on-hold"), got
        if got == "disk":
            board.finish_install()


TestSlots = Slots.TestCase
TestSlots.settings = settings(max_examples=5, stateful_step_count=20, deadline=None)

CHILD_ENVIRONMENT = {**ENVIRONMENT, "PYTHONPATH": f"{ROOT}:{ENVIRONMENT['PYTHONPATH']}"}
CHILD = """
import random, sys
from pathlib import Path
from bootpilot_server.server import open_server, read_config
from tests.fakes.rollout_boards import Grid, GridBoard
from tests.fakes.bench import Bench
home = Path(sys.argv[1])
grid = Grid(Bench(open_server(read_config(home), create=False), None, home.parent))
boards = [GridBoard(grid, number) for number in range(24)]
print("ready", flush=True)
while True:
    board = random.choice(boards)
    if board.boot() == "new":
        random.choice([board.come_up, board.come_up, board.power_on])()
"""


def test_a_server_that_is_killed_at_any_moment_leaves_no_slot_and_no_ticket_behind(tmp_path: Path) -> None:
    for grid in make_grid(tmp_path, 24, max_concurrent=3):
        put_in_force(grid, profiles__new="large_mib = 0\n" + profile())
        words = ("--where", "arch = arm64", "--wave", "4,4,rest", "--stop-at", "100%", "--max-concurrent", "3", "--yes")
        assert grid.run("rollout", "create", "autumn", "--profile", "new", *words) == 0
        for delay_s in (0.1, 0.23, 0.42, 0.61):
            argv = [sys.executable, "-c", CHILD, str(grid.home)]
            child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=CHILD_ENVIRONMENT)
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            time.sleep(delay_s)
            child.send_signal(signal.SIGKILL)
            child.wait(timeout=30)
            child.stdout.close()
            grid.now = time.time()
            assert used(grid) <= 3
        grid.now += 20_000
        assert used(grid) == 0
        # The longest time that a ticket can be under way is over: the grid goes on to its end by itself.
        for _ in range(3):
            for board in grid.boards:
                grid.now += 15
                if board.boot() == "new":
                    board.come_up()
        assert {board.boot() for board in grid.boards[:3]} == {"new"}
