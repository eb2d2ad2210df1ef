"""The simulated board can do nothing to this machine: every door is tried, from where the board's first program starts."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bootpilot_agent.cpio import directory, regular, symlink, write_cpio
from scripts.faults import confinement
from scripts.faults.confinement import DOORS, namespaces, prove_confined
from scripts.faults.errors import ConfinementError
from scripts.faults.stage import STAND_INS, Stage, lay_out

ROOT = Path(__file__).resolve().parents[2]
TRY_ALL = """
import ctypes, errno, json, os, sys
from pathlib import Path
from scripts.faults.cell import enter_cell, prepare_cell
from scripts.faults.confinement import LIBC, namespaces, prove_confined
outside = namespaces()
enter_cell()
if os.fork() == 0:
    prepare_cell()
    refused = prove_confined(outside)
    # LINUX_REBOOT_CMD_CAD_OFF: only the machine's own PID namespace knows it (kernel/pid_namespace.c, reboot_pid_ns).
    ctypes.set_errno(0)
    LIBC.reboot(ctypes.c_int(0))
    status = Path("/proc/self/status").read_text()
    print(json.dumps({"refused": refused, "reboot": ctypes.get_errno(), "status": status, "pid": os.getpid()}), flush=True)
    os._exit(0)
os.wait()
"""


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'agent'}:{ROOT / 'server-stub'}"}
    return subprocess.run([sys.executable, "-B", "-c", code], env=environment, capture_output=True, text=True, timeout=60)


def test_no_door_to_the_machine_opens_from_inside() -> None:
    done = run_python(TRY_ALL)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["refused"] == list(DOORS)
    assert told["pid"] == 1
    assert os.strerror(told["reboot"]) == "Invalid argument"
    fields = dict(line.split(":\t", 1) for line in told["status"].splitlines() if ":\t" in line)
    assert fields["NoNewPrivs"] == "1"


def test_whoever_is_still_in_the_machines_namespaces_is_stopped_before_anything_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(confinement, "DOORS", {"a door": lambda: pytest.fail("tried")})
    with pytest.raises(ConfinementError, match="the machine's own"):
        prove_confined(namespaces())


@pytest.mark.parametrize(
    ("door", "words"),
    [(lambda: None, "allowed"), (lambda: os.read(-1, 1), "another reason"), (lambda: os.open("/", os.O_WRONLY), "another")],
)
def test_a_door_that_opens_or_might_is_named(monkeypatch: pytest.MonkeyPatch, door: object, words: str) -> None:
    monkeypatch.setattr(confinement, "DOORS", {"the door": door})
    monkeypatch.setattr(confinement, "namespaces", dict)
    code_map = Path("/proc/self/uid_map").read_text().split()
    if code_map[1:] == ["0", "1"]:
        pytest.fail("this test's own user namespace maps root alone")
    with pytest.raises(ConfinementError, match=f"the door: .*{words}"):
        prove_confined({})


def test_root_never_enters_the_namespaces() -> None:
    done = run_python(
        "import os; os.getuid = lambda: 0\nfrom scripts.faults.confinement import enter_namespaces\nenter_namespaces()"
    )
    assert "ConfinementError: a board would be played by this machine's root" in done.stderr


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Of a loader with the programs that must not be there, and nothing else."""
    folder = tmp_path_factory.mktemp("stage")
    folders = [directory(name) for name in ("usr", "usr/sbin", "usr/lib", "usr/bin")]
    real = [regular(f"usr/sbin/{name}", b"\x7fELF the real one", 0o755) for name in STAND_INS if name != "reboot"]
    plain = folder.parent / "initramfs"
    with plain.open("wb") as stream:
        write_cpio([*folders, *real, symlink("usr/sbin/reboot", "../bin/busybox")], stream)
    packed = plain.with_suffix(".zst")
    subprocess.run(["zstd", "--quiet", "--force", "-o", str(packed), str(plain)], check=True)
    return lay_out(packed, folder)


@pytest.mark.parametrize("name", sorted(STAND_INS))
def test_a_program_that_could_end_the_board_is_a_stand_in(stage: Stage, name: str) -> None:
    path = stage.tree / "usr/sbin" / name
    assert not path.is_symlink()
    assert path.read_bytes().startswith(b"#!/bin/sh\n# Stands for")
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_what_is_laid_out_can_be_read_by_everybody(stage: Stage) -> None:
    for path in (stage.tree / "usr/sbin/kexec", stage.script_root / "init", stage.boards / "orangepi-pc/proc"):
        assert path.stat().st_mode & 0o004, path
