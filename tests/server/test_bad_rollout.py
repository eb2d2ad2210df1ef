"""The promise of rollouts, with a thousand boards at once: a bad profile gets no further than its first wave."""

import concurrent.futures
import json
import threading
from pathlib import Path

import pytest

from tests.fakes.rollout_boards import Grid, GridBoard, make_grid

BOARDS = 1000


def boot_together(grid: Grid, boards: list[GridBoard], touched: set[int]) -> None:
    """These boards boot, eight at a time; an installer that runs wipes the disk and then fails."""

    lock = threading.Lock()

    def boot(board: GridBoard) -> None:
        if board.boot() == "disk":
            with lock:
                touched.add(board.number)
            board.tell("handover", seq=3)
            board.tell("installing", "installer", seq=1)
            board.fail()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(boot, boards))


def test_a_bad_installer_touches_ten_disks_of_a_thousand_at_most(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for grid in make_grid(tmp_path, BOARDS):
        words = ("--where", "arch = arm64", "--wave", "10,10,10,rest", "--stop-at", "3", "--yes")
        assert grid.run("rollout", "create", "bad", "--profile", "disk", *words) == 0
        touched: set[int] = set()
        boot_together(grid, grid.boards, touched)
        grid.now += 60
        boot_together(grid, [board for board in grid.boards if board.number < 200 or board.number in touched], touched)
        assert 3 <= len(touched) <= 10
        capsys.readouterr()
        assert grid.run("rollout", "show", "bad", "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["state"], told["reached"], told["wave"]) == ("stopped", len(touched), 1)
        assert grid.run("rollout", "abort", "bad", "--back") == 0
        assert {board.boot() for board in grid.boards if board.number in touched} == {"old"}
