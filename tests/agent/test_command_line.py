"""The agent's own command line, run as a program."""

import os
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

from bootpilot_agent import __version__
from bootpilot_agent.__main__ import prepare_process
from bootpilot_agent.wall_clock import WallClock


def agent_argv() -> list[str]:
    code = "import sys; sys.path[:0] = sys.argv.pop(1).split(':'); from bootpilot_agent.__main__ import main; sys.exit(main())"
    path = ":".join(entry for entry in sys.path if entry)
    return [sys.executable, "-c", code, path]


def run_agent(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*agent_argv(), *words], capture_output=True, text=True, timeout=60)


def test_it_says_its_version() -> None:
    done = run_agent("--version")
    assert (done.returncode, done.stdout) == (0, f"bootpilot-agent {__version__}\n")


def test_it_finds_everything_that_a_boot_needs() -> None:
    done = run_agent("--self-test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("ok\n")


def test_the_self_test_leaves_the_terminal_of_a_person_as_it_is() -> None:
    ours, theirs = os.openpty()
    before = termios.tcgetattr(theirs)
    assert before[0] & termios.IXON
    with subprocess.Popen([*agent_argv(), "--self-test"], stdout=theirs, stderr=subprocess.PIPE) as agent:
        said = b""
        while b"\nok" not in said and b"checks failed" not in said:
            assert select.select([ours], [], [], 60)[0], said
            said += os.read(ours, 65536)
        assert agent.wait(60) == 0, said
    assert b"terminal: output that is a terminal is not stopped by Ctrl-S" in said
    assert termios.tcgetattr(theirs) == before


def test_an_agent_that_may_not_spare_itself_sets_its_clock_all_the_same(tmp_path: Path) -> None:
    later = int(time.time()) + 10**6
    clock: list[float] = []
    prepare_process(WallClock(later, write=clock.append), tmp_path)
    assert clock == [later]


def test_a_wrong_word_shows_the_usage() -> None:
    done = run_agent("--help-me")
    assert done.returncode == 64
    assert "--self-test" in done.stderr


def test_nothing_that_speaks_http_is_imported_before_the_network_is_up() -> None:
    code = "import sys; sys.path[:0] = sys.argv[1].split(':'); import bootpilot_agent.__main__; print(*sys.modules)"
    path = ":".join(entry for entry in sys.path if entry)
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split())
    assert "bootpilot_agent.main" in loaded
    assert loaded.isdisjoint({"requests", "urllib3", "ssl", "http.client", "bootpilot_agent.transport"})
