"""Starts other programs for the builder: the only module here that does. No shell, stdin closed, C locale, a time limit."""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from initramfs.errors import BuildError

ERROR_LINES = 20


def run(
    argv: Sequence[str | Path],
    *,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    hint: str = "",
) -> str:
    """Run a program to its end and return what it wrote to stdout.

    Its environment is the caller's (proxies and certificates are set there) with the C locale and `environment` on top.

    Raises:
        BuildError: it is not installed, failed or took longer than `timeout_s`; the message has a command to paste.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout_s,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
        )
    except FileNotFoundError as error:
        raise BuildError(
            f"the program {words[0]} is not installed", hint or f"install the package that has {words[0]}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"no end after {timeout_s:.0f} s: {shlex.join(words)}", hint) from error
    if done.returncode != 0:
        raise BuildError(failure_text(words, environment or {}, cwd, done.returncode, done.stdout + done.stderr), hint)
    return done.stdout


def failure_text(words: Sequence[str], environment: Mapping[str, str], cwd: Path | None, code: int, output: str) -> str:
    """What failed as a command that a person can paste, and the end of what it said."""
    settings = "".join(f"{name}={shlex.quote(value)} " for name, value in environment.items())
    place = f"cd {shlex.quote(str(cwd))} && " if cwd else ""
    last_lines = "\n".join("    " + line for line in output.strip().splitlines()[-ERROR_LINES:])
    return f"exit code {code} from: {place}{settings}{shlex.join(words)}\n{last_lines}"
