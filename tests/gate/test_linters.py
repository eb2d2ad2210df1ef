"""ruff, mypy, shellcheck and codespell as tests. A missing tool is a failure: scripts/test installs them all."""

import shutil
import subprocess
import sys

import pytest

from tests.gate.project_files import ROOT, project_files, relative, shell_files, text_of

TIMEOUT_S = 600

COMMANDS = {
    "ruff check": [sys.executable, "-m", "ruff", "check", "."],
    "ruff format": [sys.executable, "-m", "ruff", "format", "--check", "."],
    "mypy": [sys.executable, "-m", "mypy", "--no-error-summary"],
}


def expect_no_complaint(argv: list[str]) -> None:
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode != 0:
        # Not an assertion: pytest would cut the linter's text short.
        pytest.fail(f"exit code {done.returncode}\n{done.stdout}{done.stderr}", pytrace=False)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_python_linters_have_nothing_to_say(name: str) -> None:
    expect_no_complaint(COMMANDS[name])


def test_shellcheck_has_nothing_to_say() -> None:
    assert shutil.which("shellcheck"), "shellcheck is missing: run scripts/test, which installs it"
    files = [relative(path) for path in shell_files()]
    assert "scripts/environment.sh" in files
    expect_no_complaint(["shellcheck", "--external-sources", *files])


def test_codespell_has_nothing_to_say() -> None:
    files = [relative(path) for path in project_files() if path.suffix not in (".lock",) and text_of(path) is not None]
    expect_no_complaint([sys.executable, "-m", "codespell_lib", *files])
