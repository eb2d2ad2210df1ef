"""The only door through which the agent starts programs. Knows nothing about what they do.

A PyInstaller program runs with LD_LIBRARY_PATH set to its own bundle and keeps the caller's value in LD_LIBRARY_PATH_ORIG
(PyInstaller manual, "Launching external programs from the frozen application"); children get the caller's value back, or
they would load the bundle's libraries.
"""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bootpilot_agent.errors import CommandError
from bootpilot_agent.taps import tap

# What a child may inherit; LANG, proxies and Python's variables stay here.
ALLOWED_ENVIRONMENT = ("PATH", "HOME", "TERM", "TMPDIR")
DEFAULT_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
ERROR_TAIL_CHARACTERS = 2000
# A killed program ends at once, unless the kernel does not let go of it.
DIES_S = 2.0

Process = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Completed:
    """What a finished program left. Output is text; bytes that are no UTF-8 are replaced."""

    returncode: int
    stdout: str
    stderr: str


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    check: bool = True,
    extra: Mapping[str, str] | None = None,
    told: bytes | None = None,
) -> Completed:
    """Run a program to its end. `told` is what it reads, if anything; `extra` is added to its environment.

    Raises CommandError if it cannot be started, takes longer than `timeout_s` (it is killed), or returns
    non-zero (with `check`).
    """
    try:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL if told is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_environment(extra),
        )
    except (OSError, ValueError) as error:
        tap().ran(argv, None, "", f"cannot be started: {error}")
        raise _not_started(argv, error) from error
    try:
        stdout, stderr = child.communicate(told, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        tap().ran(argv, None, "", f"still running after {timeout_s:g} s")
        raise CommandError(
            f"{shlex.join(argv)}: still running after {timeout_s:g} s, {_end(child)}{_tail(error.stderr)}"
        ) from error
    done = Completed(child.returncode, stdout.decode(errors="replace"), stderr.decode(errors="replace"))
    tap().ran(argv, done.returncode, done.stdout, done.stderr)
    if check and child.returncode != 0:
        raise CommandError(f"{shlex.join(argv)}: {describe_status(child.returncode)}{_tail(stderr)}")
    return done


def spawn(argv: Sequence[str], *, extra: Mapping[str, str] | None = None, output: int = subprocess.DEVNULL) -> Process:
    """Start a program that goes on by itself; the caller ends and reaps it. `output` is a descriptor for stdout and stderr.

    Raises CommandError if it cannot be started.
    """
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=child_environment(extra),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise _not_started(argv, error) from error


def start_filter(argv: Sequence[str], source: int, target: int, complaints: int) -> Process:
    """Start a program that reads from one descriptor and writes to another; its errors go to a third. The caller reaps it.

    Raises CommandError if it cannot be started.
    """
    try:
        return subprocess.Popen(
            list(argv),
            stdin=source,
            stdout=target,
            stderr=complaints,
            env=child_environment(),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise _not_started(argv, error) from error


def child_environment(extra: Mapping[str, str] | None = None, own: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child: the allowed names, the C locale, the caller's library path, and `extra`."""
    source = os.environ if own is None else own
    kept = {name: source[name] for name in ALLOWED_ENVIRONMENT if name in source}
    if source.get("LD_LIBRARY_PATH_ORIG"):
        kept["LD_LIBRARY_PATH"] = source["LD_LIBRARY_PATH_ORIG"]
    return {"PATH": DEFAULT_PATH, **kept, "LC_ALL": "C", **(extra or {})}


def describe_status(returncode: int) -> str:
    """A return code for a person; negative ones are signals."""
    return f"ended by signal {-returncode}" if returncode < 0 else f"exit code {returncode}"


def _end(child: Process) -> str:
    """Kill it and leave it behind if it does not end: a driver or a dying disk holds it in the kernel, perhaps for ever."""
    child.kill()
    try:
        child.wait(DIES_S)
    except subprocess.TimeoutExpired:
        return "and cannot be killed: it hangs in the kernel"
    finally:
        for pipe in (child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()
    return "killed"


def _not_started(argv: Sequence[str], error: Exception) -> CommandError:
    return CommandError(
        f"{shlex.join(argv)}: cannot be started: {error}", "the program is missing in the initramfs, or not for this CPU"
    )


def _tail(stderr: bytes | None) -> str:
    text = (stderr or b"").decode(errors="replace").strip()
    return f"\n{text[-ERROR_TAIL_CHARACTERS:]}" if text else ""
