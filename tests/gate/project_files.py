"""Which files belong to the project: those that git knows, and new ones it does not ignore."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHELL_FIRST_LINES = ("#!/bin/sh", "#!/bin/bash", "#!/bin/busybox sh", "#!/usr/bin/env bash", "# shellcheck shell=")


@cache
def project_files() -> tuple[Path, ...]:
    argv = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(argv, capture_output=True, check=True, text=True, timeout=60).stdout.split("\0")
    return tuple(sorted(ROOT / name for name in set(names) if name and (ROOT / name).is_file()))


def python_files() -> tuple[Path, ...]:
    return tuple(path for path in project_files() if path.suffix == ".py")


def shell_files() -> tuple[Path, ...]:
    return tuple(path for path in project_files() if first_line(path).startswith(SHELL_FIRST_LINES))


def first_line(path: Path) -> str:
    with path.open("rb") as stream:
        return stream.readline(200).decode(errors="replace")


def text_of(path: Path) -> str | None:
    """None for a file that is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))
