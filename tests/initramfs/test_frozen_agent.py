"""The frozen agent where a loader runs it: beside its own libraries and nothing else."""

import shutil
import stat
from pathlib import Path

import pytest

from bootpilot_agent import __version__
from initramfs.architectures import ARCHITECTURES
from initramfs.chroot import run_in_root

AMD64 = ARCHITECTURES["amd64"]
AGENT = "/opt/bootpilot/bootpilot-agent"
BLKID = "usr/sbin/blkid"


@pytest.fixture
def bare_root(loader_tree: Path, tmp_path: Path) -> Path:
    """The agent, the libraries that the image gives it, blkid and the dynamic loader: no /usr, no shell, no ldconfig."""
    root = tmp_path / "root"
    for name in ("proc", "dev", "tmp", "opt", "lib64", "lib", "sbin"):
        (root / name).mkdir(parents=True)
    shutil.copytree(loader_tree / "opt" / "bootpilot", root / "opt" / "bootpilot", symlinks=True)
    shutil.copytree(loader_tree / "usr" / "lib" / AMD64.triplet, root / "lib" / AMD64.triplet, symlinks=True)
    shutil.copy(loader_tree / AMD64.dynamic_loader, root / AMD64.dynamic_loader)
    shutil.copy(loader_tree / BLKID, root / "sbin/blkid")
    return root


def test_it_tells_its_version_in_a_bare_root(bare_root: Path) -> None:
    assert __version__ in run_in_root(AMD64, bare_root, [AGENT, "--version"], probe=f"{AGENT} --version", timeout_s=60)


def test_everything_that_it_imports_and_opens_is_there_in_a_bare_root(bare_root: Path) -> None:
    said = run_in_root(AMD64, bare_root, [AGENT, "--self-test"], probe=f"{AGENT} --version", timeout_s=60)
    assert said.splitlines()[-1] == "ok"
    assert "FAILED" not in said


def test_it_has_no_libraries_of_development_tools(loader_tree: Path) -> None:
    names = {path.name for path in (loader_tree / "opt" / "bootpilot").rglob("*")}
    assert not names & {"setuptools", "PyInstaller", "pip", "unittest", "tkinter", "charset_normalizer", "hatchling"}


def test_it_has_the_public_certificates(loader_tree: Path) -> None:
    assert "BEGIN CERTIFICATE" in (loader_tree / "opt/bootpilot/_internal/certifi/cacert.pem").read_text()


def test_nobody_but_root_may_change_it(loader_tree: Path) -> None:
    for path in (loader_tree / "opt" / "bootpilot").rglob("*"):
        assert not stat.S_IMODE(path.lstat().st_mode) & 0o022 or path.is_symlink(), path
