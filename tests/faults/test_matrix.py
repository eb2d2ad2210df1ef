"""The matrix itself: the quick rows in every run, all rows in the long one. Each plays the frozen agent in namespaces."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpilot_agent import recording
from bootpilot_agent.recording_lines import KexecLine
from scripts.faults.matrix import CHECKOUT
from scripts.lab.scripted_server import wait_until
from scripts.scenarios.reading import read_rows
from scripts.scenarios.scenario import Expect

PYTHONPATH = ":".join(str(CHECKOUT / name) for name in ("", "agent", "server-stub"))


def run_matrix(report: Path, *words: str, timeout_s: int) -> list[dict[str, object]]:
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    argv = [sys.executable, "-B", "-m", "scripts.faults", "--report", str(report), *words]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, done.stdout + done.stderr[-8000:]
    return list(json.loads(report.read_text()))


def test_the_quick_rows_end_as_they_must(tmp_path: Path) -> None:
    """And each board's recording can be had."""
    recordings = tmp_path / "recordings"
    words = ("--quick", "--runs", "1", "--recordings", str(recordings))
    found = run_matrix(tmp_path / "report.json", *words, timeout_s=600)
    quick = {row.name: row for row in read_rows().values() if row.quick}
    assert {one["scenario"]: one["came"] for one in found} == {
        name: {"boots": "booted", "refuses": "refused"}[row.expect] for name, row in quick.items()
    }
    assert all(one["verified"] for one in found)
    assert {path.name for path in recordings.iterdir()} == {f"{name}{recording.SUFFIX}" for name in quick}
    for path in recordings.iterdir():
        taken = recording.read(path.read_bytes())
        loads = any(isinstance(timed.line, KexecLine) for timed in taken.lines)
        assert loads is (quick[path.stem].expect is Expect.BOOTS)


def test_a_plain_script_boots_what_the_agent_refuses(tmp_path: Path) -> None:
    words = ("--baseline", "--runs", "1", "kernel-truncated")
    found = {one["loader"]: one for one in run_matrix(tmp_path / "report.json", *words, timeout_s=300)}
    assert found["agent"]["came"] == "refused"
    assert found["script"]["came"] == "dead"
    assert all(one["verified"] for one in found.values())


@pytest.mark.long
def test_every_row_ends_as_it_must(tmp_path: Path) -> None:
    found = run_matrix(tmp_path / "report.json", "--runs", "1", timeout_s=2400)
    assert all(one["verified"] for one in found)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that everybody may enter, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="bp-faults-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_matrix_that_is_stopped_leaves_no_board_behind(open_folder: Path, number: int) -> None:
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH, "TMPDIR": str(open_folder)}
    # This row waits 30 s for its network.
    argv = [sys.executable, "-B", "-m", "scripts.faults", "--runs", "1", "dhcp-after-30-s"]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as matrix:
        assert wait_until(lambda: any(b"waits for DHCP" in path.read_bytes() for path in open_folder.glob("*/*/console")), 400)
        assert cells_of(open_folder)
        matrix.send_signal(number)
        assert wait_until(lambda: not cells_of(open_folder), 60)


def cells_of(folder: Path) -> list[str]:
    """The processes that play boards in this folder."""
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdigit() and str(folder).encode() in (words := (process / "cmdline").read_bytes()):
                found += [process.name] if b"scripts.faults.cell" in words else []
    return found
