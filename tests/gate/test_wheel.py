"""The wheel has all that its programs read, not their Python alone: made of the project's files by pinned tools."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import requests

from bootpilot_agent import __version__
from tests.fakes.server_process import running_server
from tests.gate.project_files import ROOT, project_files

BUILD_TIMEOUT_S = 300
SOURCES = (ROOT / "agent", ROOT / "server-stub")
METADATA = f"bootpilot-{__version__}.dist-info"
PIP_WHEEL = ("pip", "--isolated", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked: what pip puts on the module path. Made of a copy, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "copy"
    for path in project_files():
        if path.is_relative_to(SOURCES[0]) or path.is_relative_to(SOURCES[1]) or path.parent == ROOT:
            target = copy / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    argv = [sys.executable, "-m", *PIP_WHEEL, "--wheel-dir", str(folder), str(copy)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, cwd=folder)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(folder / f"bootpilot-{__version__}-py3-none-any.whl") as wheel:
        wheel.extractall(folder / "installed")
    return folder / "installed"


def test_the_wheel_has_every_file_of_our_packages_and_no_other(installed: Path) -> None:
    ours = {
        str(path.relative_to(source))
        for source in SOURCES
        for path in project_files()
        # For people; no program reads it.
        if path.is_relative_to(source) and path.name != "README.md"
    }
    inside = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    assert {name for name in inside if not name.startswith(f"{METADATA}/")} == ours
    assert {Path(name).suffix for name in ours} >= {".py", ".html", ".css", ".sh", ".cfg", ".service"}


def test_the_license_and_the_command_are_in_the_wheels_own_facts(installed: Path) -> None:
    assert (installed / METADATA / "licenses/LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert "bootpilot = bootpilot_server.cli:main" in (installed / METADATA / "entry_points.txt").read_text()


def test_a_server_from_the_wheel_serves_its_page(installed: Path, tmp_path: Path) -> None:
    with running_server(tmp_path / "home", environment={"PYTHONPATH": str(installed)}) as server:
        page = requests.get(f"{server.url}/", timeout=60)
        assert (page.status_code, "</html>" in page.text) == (200, True), page.text
