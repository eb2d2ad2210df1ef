"""The door to other programs."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bootpilot_agent.errors import CommandError
from bootpilot_agent.run import child_environment, run, spawn


def test_output_comes_back_as_text_whatever_its_bytes() -> None:
    done = run(["printf", r"a\377\n"], timeout_s=10)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a\ufffd\n", "")


def test_a_failure_can_be_pasted_into_a_shell_and_has_the_end_of_the_error_output() -> None:
    argv = ["sh", "-c", "echo first >&2; printf %3000s x >&2; echo 'the cause' >&2; exit 3"]
    with pytest.raises(CommandError, match="exit code 3") as error:
        run(argv, timeout_s=10)
    command, _, tail = error.value.message.partition(": exit code 3\n")
    assert subprocess.run(command, shell=True, capture_output=True, check=False).returncode == 3  # noqa: S602
    assert tail.endswith("the cause")
    assert "first" not in tail


def test_a_failure_may_be_asked_for() -> None:
    assert run(["sh", "-c", "exit 3"], timeout_s=10, check=False).returncode == 3


def test_a_program_killed_by_a_signal_says_so() -> None:
    with pytest.raises(CommandError, match="ended by signal 9"):
        run(["sh", "-c", "kill -9 $$"], timeout_s=10)


def test_a_program_that_does_not_end_is_killed() -> None:
    with pytest.raises(CommandError, match=r"sleep 1000: still running after 0\.2 s, killed"):
        run(["sleep", "1000"], timeout_s=0.2)


def test_a_program_that_hangs_in_the_kernel_does_not_hold_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    left_behind: list[subprocess.Popen[bytes]] = []

    # Nobody can make a process unkillable for a test, so the signal is kept from it.
    def spare(child: subprocess.Popen[bytes]) -> None:
        left_behind.append(child)

    monkeypatch.setattr(subprocess.Popen, "kill", spare)
    monkeypatch.setattr("bootpilot_agent.run.DIES_S", 0.1)
    with pytest.raises(CommandError, match=r"after 0\.2 s, and cannot be killed: it hangs in the kernel"):
        run(["sleep", "20"], timeout_s=0.2)
    monkeypatch.undo()
    (child,) = left_behind
    assert child.poll() is None
    child.kill()
    child.wait()


@pytest.mark.parametrize("start", [lambda argv: run(argv, timeout_s=10), spawn])
@pytest.mark.parametrize("argv", [["no-such-program"], ["/etc/passwd"], ["a\0b"]])
def test_a_program_that_cannot_be_started_is_named(start: Callable[[list[str]], object], argv: list[str]) -> None:
    with pytest.raises(CommandError, match="cannot be started"):
        start(argv)


def test_there_is_no_input() -> None:
    assert run(["cat"], timeout_s=10).stdout == ""


def test_a_child_gets_the_library_path_from_before_the_frozen_program_changed_it() -> None:
    own = {"LD_LIBRARY_PATH": "/opt/bootpilot/_internal", "LD_LIBRARY_PATH_ORIG": "/lib/mine", "PATH": "/bin"}
    assert child_environment(own=own) == {"LD_LIBRARY_PATH": "/lib/mine", "PATH": "/bin", "LC_ALL": "C"}
    del own["LD_LIBRARY_PATH_ORIG"]
    assert "LD_LIBRARY_PATH" not in child_environment(own=own)


def test_a_child_inherits_only_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "PYTHONPATH", "LANG", "BASH_ENV"):
        monkeypatch.setenv(name, "x")
    inherited = run(["env"], timeout_s=10, extra={"OWN": "1"}).stdout.splitlines()
    names = {line.partition("=")[0] for line in inherited}
    assert names <= {"PATH", "HOME", "TERM", "TMPDIR", "LC_ALL", "OWN"}
    assert "OWN=1" in inherited
    assert "LC_ALL=C" in inherited


def test_a_program_that_goes_on_by_itself_can_write_into_a_file(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = spawn(["sh", "-c", "echo out; echo err >&2"], output=log.fileno())
        assert process.wait() == 0
    assert (tmp_path / "log").read_text() == "out\nerr\n"
