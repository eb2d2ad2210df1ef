"""The agent's own command line, run as a program."""

import subprocess
import sys

from bootpilot_agent import __version__


def run_agent(*words: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.path[:0] = sys.argv.pop(1).split(':'); from bootpilot_agent.__main__ import main; sys.exit(main())"
    path = ":".join(entry for entry in sys.path if entry)
    return subprocess.run([sys.executable, "-c", code, path, *words], capture_output=True, text=True, timeout=60)


def test_it_says_its_version() -> None:
    done = run_agent("--version")
    assert (done.returncode, done.stdout) == (0, f"bootpilot-agent {__version__}\n")


def test_it_finds_everything_that_a_boot_needs() -> None:
    done = run_agent("--self-test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("ok\n")


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
