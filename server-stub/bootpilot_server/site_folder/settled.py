"""Reads an operator's folder when nobody is changing it: in the middle of a `git checkout` half of it is another commit.

Two readings in a row must agree, and git must not hold its lock. A folder that never comes to rest is refused.
"""

import time
from collections.abc import Callable
from pathlib import Path

from bootpilot_server.errors import OperatorError
from bootpilot_server.site_folder.findings import Finding
from bootpilot_server.site_folder.folder import read_folder

# The pauses before each further reading: whoever copies files is rarely slower than the first, git than all of them.
PAUSES_S = (0.05, *(0.25,) * 12)
# Written by git while it changes the files of a work tree, and gone afterwards.
LOCKS = ("index.lock", "HEAD.lock")
MARKERS = ("<<<<<<< ", ">>>>>>> ", "||||||| ")

Reading = tuple[dict[str, str], list[Finding]]


def read_settled_folder(root: Path, pause: Callable[[float], None] = time.sleep) -> Reading:
    """As `read_folder`, with conflict markers as findings. Raises OperatorError, also for a folder that keeps changing."""
    lock, before = _git_lock(root), _read(root)
    for pause_s in PAUSES_S:
        pause(pause_s)
        now = _read(root)
        was_locked, lock = lock, _git_lock(root)
        if now is not None and now == before and not (was_locked or lock):
            texts, findings = now
            return texts, [*findings, *_conflict_markers(texts)]
        before = now
    if lock is not None:
        raise OperatorError(
            f"{root}: git is at work in it ({lock} is there)", "try again when it is done; if no git runs, delete that file"
        )
    raise OperatorError(f"{root}: its files keep changing while they are read", "try again when whatever writes them is done")


def _read(root: Path) -> Reading | None:
    """None where a folder vanished while it was listed."""
    try:
        return read_folder(root)
    except OSError:
        return None


def _git_lock(root: Path) -> Path | None:
    """The lock that git holds on the work tree in which this folder lies, if any."""
    git = _git_folder(root.absolute())
    return next((git / name for name in LOCKS if git is not None and (git / name).exists()), None)


def _git_folder(root: Path) -> Path | None:
    for folder in (root, *root.parents):
        entry = folder / ".git"
        if entry.is_dir():
            return entry
        # A linked work tree, or a submodule: a file that says where its folder is (gitrepository-layout(5)).
        if entry.is_file():
            try:
                return folder / entry.read_text("utf-8", "replace").strip().removeprefix("gitdir: ")
            except OSError:
                return None
    return None


def _conflict_markers(texts: dict[str, str]) -> list[Finding]:
    """What git leaves in a file that it could not merge. A template might hold such a line on purpose; none has been seen."""
    return [
        Finding(path, number, f"holds a conflict that git left: {line.strip()[:40]}")
        for path, text in texts.items()
        for number, line in enumerate(text.split("\n"), start=1)
        if line.startswith(MARKERS)
    ]
