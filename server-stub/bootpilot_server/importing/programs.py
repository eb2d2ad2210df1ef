"""The importers' one door to other programs: apt and dpkg, with a fixed locale and a time limit."""

import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bootpilot_server.errors import OperatorError

# The last lines of what a program said: apt repeats itself.
MOST_LINES = 6
NEEDS = "apt and dpkg are needed for this: use a Debian system, or a container of one"


def run(argv: Sequence[str], *, timeout_s: float, cwd: Path | None = None, apt_config: Path | None = None) -> str:
    """What it printed. Raises OperatorError with the command and the end of what it said."""
    shown = shlex.join(argv)
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            cwd=cwd,
            env=_environment(apt_config),
        )
    except subprocess.TimeoutExpired as error:
        raise OperatorError(f"{shown}: did not end within {timeout_s:.0f} s") from error
    except OSError as error:
        raise OperatorError(f"{shown}: {error.strerror}", NEEDS) from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-MOST_LINES:]
        raise OperatorError("\n".join([f"{shown}: exit code {done.returncode}", *said]))
    return done.stdout.decode("utf-8", "replace")


@contextmanager
def output_of(argv: Sequence[str]) -> Iterator[IO[bytes]]:
    """Its standard output while it runs; it is ended with the block, read to its end or not. Raises OperatorError."""
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment(None)
        )
    except OSError as error:
        raise OperatorError(f"{shlex.join(argv)}: {error.strerror}", NEEDS) from error
    with process:
        try:
            if process.stdout is not None:
                yield process.stdout
        finally:
            process.kill()


def _environment(apt_config: Path | None) -> dict[str, str]:
    more = {"APT_CONFIG": str(apt_config)} if apt_config else {}
    return {**os.environ, "LC_ALL": "C.UTF-8", **more}
