"""The matrix itself: the quick rows in every run, all rows in the long one. Each plays the frozen agent in namespaces."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.faults.matrix import CHECKOUT
from scripts.scenarios.reading import read_rows


def run_matrix(report: Path, *words: str, timeout_s: int) -> list[dict[str, object]]:
    environment = {**os.environ, "PYTHONPATH": ":".join(str(CHECKOUT / name) for name in ("", "agent", "server-stub"))}
    argv = [sys.executable, "-B", "-m", "scripts.faults", "--report", str(report), *words]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, done.stdout + done.stderr[-8000:]
    return list(json.loads(report.read_text()))


def test_the_quick_rows_end_as_they_must(tmp_path: Path) -> None:
    found = run_matrix(tmp_path / "report.json", "--quick", "--runs", "1", timeout_s=600)
    quick = {row.name: row for row in read_rows().values() if row.quick}
    assert {one["scenario"]: one["came"] for one in found} == {
        name: {"boots": "booted", "refuses": "refused"}[row.expect] for name, row in quick.items()
    }
    assert all(one["verified"] for one in found)


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
