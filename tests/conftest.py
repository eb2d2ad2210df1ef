"""What all tests share: the options, the count of kernels that QEMU's emulation lost, the table of boards that were booted."""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from scripts.lab.board_list import machine_named
from scripts.lab.board_table import BoardRun, not_simulated, to_json, to_markdown
from scripts.lab.errors import LabError
from scripts.lab.machines import BY_BOARD, NOT_SIMULATED

WHOLE_MACHINES = "qemu"
BOARDS_FILE = "tests/qemu/test_boards.py"
# How a test tells the summary something, also from another process: names of pytest's record_property.
BOARD_RUN, LOST_KERNEL = "board_run", "lost_kernel"


# Of bytes that tell a reader more than their length.
MAX_BYTES_IN_NAME = 32


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the tests that take minutes each")
    parser.addoption(
        "--boards",
        nargs="*",
        metavar="NAME",
        help="run only whole boots of these boards (or architectures) from their own cards; without names: of all",
    )
    parser.addoption(
        "--boards-report",
        type=Path,
        metavar="FILE",
        help="write the table of boards there too: JSON if it ends so, else Markdown",
    )


def pytest_configure(config: pytest.Config) -> None:
    # Hypothesis would judge by time, and other tests may have this machine to themselves for seconds.
    hypothesis.settings.register_profile("bootpilot", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
    hypothesis.settings.load_profile("bootpilot")
    if hasattr(config, "workerinput") and os.geteuid() == 0:
        _keep_mounts_to_this_process()
    config.addinivalue_line("markers", "long: takes minutes; runs only with --long")
    config.addinivalue_line("markers", "board(name, ordinary): boots this board; only with --boards unless it is ordinary")
    boards = config.getoption("--boards")
    if boards is None:
        return
    try:
        config.option.boards = [board for name in boards for board in _boards_called(name)]
    except LabError as error:
        raise pytest.UsageError(f"--boards: {error}") from error
    config.args = [str(config.rootpath / BOARDS_FILE)]


def _keep_mounts_to_this_process() -> None:
    """A mount namespace of its own for each of the processes that run tests.

    Simulated boards get a copy of all mounts there are, and hold the loop device of another test's mount until they end: a test
    beside that one could not unmount its disk.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # linux/sched.h; linux/mount.h: MS_REC | MS_PRIVATE.
    clone_newns, private = 0x00020000, 0x4000 | 0x40000
    if libc.unshare(clone_newns) or libc.mount(b"none", b"/", None, private, None):
        raise pytest.UsageError(f"no mount namespace of its own: {os.strerror(ctypes.get_errno())}; is this a container?")


def _boards_called(name: str) -> list[str]:
    """One board, or all of an architecture. Raises LabError."""
    of_arch = [board for board, machine in BY_BOARD.items() if machine.arch == name]
    return of_arch or [machine_named(name).board]


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes are named by their length: what gzip and friends make holds the time of day, and processes compare names."""
    return f"{argname}-{len(val)}-bytes" if isinstance(val, bytes) and len(val) > MAX_BYTES_IN_NAME else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What was not asked for is deselected, not skipped: nothing that runs is ever passed over.

    Whole machines come first: one process has those, which take minutes; the other has the rest, and helps it later.
    """
    left_out = [item for item in items if not _is_wanted(item, config)]
    config.hook.pytest_deselected(items=left_out)
    wanted = set(items).difference(left_out)
    items[:] = sorted((item for item in items if item in wanted), key=lambda item: WHOLE_MACHINES not in item.path.parts)


def _is_wanted(item: pytest.Item, config: pytest.Config) -> bool:
    boards = config.getoption("--boards")
    board = item.get_closest_marker("board")
    if boards is not None:
        return board is not None and (not boards or board.args[0] in boards)
    if board is not None:
        return bool(board.kwargs["ordinary"])
    return bool(config.getoption("--long")) or item.get_closest_marker("long") is None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    for report, why in _told(reports, LOST_KERNEL):
        terminalreporter.write_line(f"lost to QEMU and run once more: {report.nodeid}: {why}")
    runs = [_board_run(report, row) for report, row in _told(reports, BOARD_RUN)]
    if not runs:
        return
    if config.getoption("--boards") == []:
        runs += not_simulated(NOT_SIMULATED)
    terminalreporter.section("boards: seconds from power on, in this run on this machine")
    terminalreporter.write(to_markdown(runs))
    if path := config.getoption("--boards-report"):
        path.write_text(to_json(runs) if path.suffix == ".json" else to_markdown(runs))


def _board_run(report: pytest.TestReport, row: dict[str, Any]) -> BoardRun:
    """The row as its test left it; of a test that failed, with its error's first line."""
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        row["result"] = f"failed: {crash.message.splitlines()[0]}" if crash else "failed"
    return BoardRun(**row)


def _told(reports: list[pytest.TestReport], name: str) -> Iterator[tuple[pytest.TestReport, Any]]:
    """What tests have recorded under this name, once for each test."""
    for report in reports:
        if report.when == "call":
            yield from ((report, value) for key, value in report.user_properties if key == name)
