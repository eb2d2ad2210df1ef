"""What a person types: that looking costs nothing, from wherever it is called, and which machines are turned away."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bootpilot_agent import __version__
from bootpilot_server.cli import find_command, make_parser
from tests.gate.project_files import ROOT

SCRIPTS = ("bootpilot", "build-initramfs", "build-rootfs", "build-sdcard", "demo", "test", "bench", "fault-matrix", "fuzz")
# All that a script may need to tell what it is; with no apt-get, dpkg-query or pip in reach nothing can be installed.
BARE = ("bash", "dirname", "readlink", "sed")
TIMEOUT_S = 60


def programs(folder: Path, *names: str) -> Path:
    """A folder for PATH with these programs and no others."""
    folder.mkdir()
    for name in names:
        found = sys.executable if name == "python3" else shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return folder


def run(argv: list[str], path: Path, home: Path) -> subprocess.CompletedProcess[str]:
    home.mkdir(exist_ok=True)
    environment = {"PATH": str(path), "HOME": str(home)}
    return subprocess.run(argv, env=environment, cwd="/", capture_output=True, text=True, timeout=TIMEOUT_S)


@pytest.mark.parametrize("more", [(), ("python3",)])
@pytest.mark.parametrize("script", SCRIPTS)
def test_help_and_version_are_answered_where_nothing_is_installed(tmp_path: Path, script: str, more: tuple[str, ...]) -> None:
    path, home = programs(tmp_path / "bin", *BARE, *more), tmp_path / "home"
    for words in (["--help"], ["-h"], ["--some-option", "--help"]):
        done = run([str(ROOT / "scripts" / script), *words], path, home)
        assert done.returncode == 0, done.stderr
        assert script in done.stdout
        assert "set -" not in done.stdout
    version = run([str(ROOT / "scripts" / script), "--version"], path, home)
    assert (version.returncode, version.stdout) == (0, f"bootpilot {__version__}\n"), version.stderr
    assert list(home.rglob("*")) == []


@pytest.mark.parametrize("words", [["--list"], ["--explain", "orangepi-pc"], ["--explain=orangepi-pc"]])
def test_looking_at_boards_installs_nothing(tmp_path: Path, words: list[str]) -> None:
    done = run([str(ROOT / "scripts/build-sdcard"), *words], programs(tmp_path / "bin", *BARE, "python3"), tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert "Orange Pi PC" in done.stdout
    assert list((tmp_path / "home").rglob("*")) == []


def test_verifying_a_card_installs_nothing_where_its_programs_are_there(tmp_path: Path) -> None:
    path = programs(tmp_path / "bin", *BARE, "python3", "mcopy", "sfdisk")
    done = run([str(ROOT / "scripts/build-sdcard"), "--verify", "/no/card.img"], path, tmp_path / "home")
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "build-sdcard: /no/card.img: there is no such file or device")
    assert list((tmp_path / "home").rglob("*")) == []


def test_each_command_of_the_server_helps_where_nothing_is_installed(tmp_path: Path) -> None:
    # -S: Python's own library and nothing that was installed beside it.
    argv = [sys.executable, "-S", "-B", "-m", "bootpilot_server", "artifact", "add", "--help"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'agent'}:{ROOT / 'server-stub'}"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert (done.returncode, "what people call it" in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "serve",
        "artifact add x",
        "artifact list",
        "artifact rm x",
        "artifact prune",
        "node forget x",
        "check x",
        "apply x",
        "explain x",
        "node list",
        "node show x",
        "node approve x",
    ],
)
def test_each_command_of_the_server_is_there(words: str) -> None:
    assert callable(find_command(make_parser().parse_args(words.split()).command))


@pytest.mark.parametrize("script", ["bootpilot", "demo", "bench"])
def test_a_script_takes_no_code_from_the_folder_in_which_it_is_called(tmp_path: Path, script: str) -> None:
    """`python -m` looks there first: another checkout, or a site's folder that happens to be called scripts/."""
    for package in ("scripts", "bootpilot_server", "bootpilot_agent"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(f"raise SystemExit('code of another {package}')\n")
    argv = [str(ROOT / "scripts" / script), "--help"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_may_be_called_through_a_link(tmp_path: Path, script: str) -> None:
    link = tmp_path / script
    link.symlink_to(ROOT / "scripts" / script)
    done = run([str(link), "--help"], programs(tmp_path / "bin", *BARE), tmp_path / "home")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("purpose", "status"), [("server", 0), ("build", 1), ("demo", 1), ("test", 1)])
def test_an_arm_machine_may_serve_and_is_told_that_it_cannot_simulate(tmp_path: Path, purpose: str, status: int) -> None:
    path = programs(tmp_path / "bin", *BARE, "apt-get")
    (path / "uname").write_text("#!/bin/sh\necho aarch64\n")
    (path / "uname").chmod(0o755)
    done = run(["bash", "-c", f". {ROOT}/scripts/environment.sh; bootpilot_check_system {purpose}"], path, tmp_path / "home")
    assert done.returncode == status, done.stderr
    assert ("the boot server runs here too" in done.stderr) == (status == 1)
