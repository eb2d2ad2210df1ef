"""A boot that was recorded in a network namespace is replayed there, by the frozen agent, and a changed one is found out."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.faults.__main__ import main as matrix
from scripts.faults.matrix import CHECKOUT, Run, play
from scripts.faults.outcome import Loader
from scripts.replaying.__main__ import main
from scripts.replaying.namespace import prepare_stage
from scripts.scenarios.reading import read_rows

TIMES = 20
# A loader is frozen anew, on a machine that does other things as well.
FREEZE_S = 1500


@pytest.fixture(scope="module")
def recordings() -> Iterator[Path]:
    """Below a folder that a user without rights may enter; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="bootpilot-recordings-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def record(name: str, folder: Path) -> Path:
    """The recording of this scenario's board."""
    found = folder / f"{name}.bootrec"
    if not found.exists():
        shared = folder / "shared"
        shared.mkdir(exist_ok=True)
        play(Run(read_rows()[name], Loader.AGENT), prepare_stage(shared), shared, found)
    return found


def judge(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    capsys.readouterr()
    main([*words, "--json"])
    return dict(json.loads(capsys.readouterr().out))


def test_a_boot_of_the_frozen_agent_is_the_same_in_both_runners(recordings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = str(record("nothing-wrong", recordings))
    frozen = judge(capsys, recording, "--runner", "namespace")
    assert frozen["verdict"] == "same", frozen
    assert (frozen["how"], frozen["compared"]) == ("kexec -e", "4 requests, 7 events, 1 kexec calls")
    assert "memory_bytes was not compared: the memory is this machine's" in list(map(str, frozen["notes"]))  # type: ignore[call-overload]
    assert judge(capsys, recording)["compared"] == "4 requests, 7 events, 11 steps, 1 kexec calls"
    assert judge(capsys, recording, "--runner", "namespace", "--until", "planned")["verdict"] == "same"
    assert judge(capsys, recording, "--runner", "namespace", "--until", "find_server")["verdict"] == "not replayable"


def test_a_written_boot_is_played_by_the_same_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing-wrong"]) == 0
    assert "same: it boots, as it must" in capsys.readouterr().out
    own = tmp_path / "own.toml"
    own.write_text('[refuses-a-good-boot]\nwhat = "nothing is wrong"\nexpect = "refuses"\nlimit_s = 20\n')
    assert main([f"{own}#refuses-a-good-boot"]) == 1
    assert "replayed: booted, verified" in capsys.readouterr().out
    assert main(["no-such-boot"]) == main(["nothing-wrong", "--runner", "in-process"]) == 2


def test_a_recording_is_a_row_of_the_fault_matrix(recordings: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert matrix([str(record("nothing-wrong", recordings)), "--runs", "1", "--report", str(report)]) == 0
    (outcome,) = json.loads(report.read_text())
    assert (outcome["scenario"], outcome["came"], outcome["verified"]) == ("nothing-wrong", "booted", True)
    assert outcome["last_words"].startswith("same: 4 requests, 7 events")
    (tmp_path / "broken.bootrec").write_bytes(b"nothing")
    assert matrix([str(tmp_path / "broken.bootrec")]) == 2


@pytest.mark.long
def test_a_boot_with_trouble_is_the_same_twenty_times_of_twenty(recordings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = str(record("server-reset-at-50-percent", recordings))
    for runner in ("namespace", "in-process"):
        found = judge(capsys, recording, "--runner", runner, "--times", str(TIMES))
        assert (found["verdicts"], found["differences"]) == (["same"] * TIMES, []), found


@pytest.mark.long
@pytest.mark.parametrize(
    ("module", "before", "after", "where"),
    [
        (
            "plan_client.py",
            "if answer.status not in BUSY and answer.status < 500:",
            "if True:",
            "a request that the recorded boot made is missing: POST",
        ),
        ("node_report.py", '            "features": list(self.features),\n', "", "/v1/boot, field features"),
    ],
)
def test_a_defect_in_the_frozen_agent_is_named(module: str, before: str, after: str, where: str, recordings: Path) -> None:
    """In a copy of the checkout, whose agent is frozen with the defect in it."""
    recording = record("server-503-with-retry-after", recordings)
    with tempfile.TemporaryDirectory(prefix="bootpilot-defect-") as name:
        copy = Path(name) / "checkout"
        files = subprocess.run(
            ["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=60
        ).stdout.split("\0")
        for file in filter(None, files):
            (copy / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / file, copy / file, follow_symlinks=False)
        source = copy / "agent/bootpilot_agent" / module
        assert source.read_text().count(before) == 1
        source.write_text(source.read_text().replace(before, after))
        paths = ":".join(str(copy / part) for part in ("", "agent", "server-stub"))
        argv = [sys.executable, "-P", "-B", "-m", "scripts.replaying", str(recording), "--runner", "namespace", "--json"]
        done = subprocess.run(
            argv, env={**os.environ, "PYTHONPATH": paths}, cwd=copy, capture_output=True, text=True, timeout=FREEZE_S
        )
    assert done.returncode == 1, done.stdout + done.stderr
    assert where in json.loads(done.stdout)["differences"][0]["where"]
