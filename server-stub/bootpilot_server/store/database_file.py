"""The file that a database is in: whether it is still the one that was opened, and what its former journal must not do.

Touches only that file's names.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootpilot_server.errors import DatabaseUnavailableError

Inode = tuple[int, int]

# What SQLite keeps beside a database while it is open.
JOURNALS = ("-wal", "-shm")


def inode_of(path: Path) -> Inode:
    """Raises DatabaseUnavailableError if it is gone."""
    try:
        status = path.stat()
    except OSError as error:
        raise DatabaseUnavailableError(f"{path}: {error.strerror}") from error
    return status.st_dev, status.st_ino


def journal_of(path: Path) -> Inode | None:
    """The write-ahead log beside it, if there is one."""
    try:
        status = path.with_name(path.name + JOURNALS[0]).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def set_aside(path: Path, new: Path) -> None:
    """The file and what belongs to it, as far as it is there, under another name on the same disk. Raises OSError."""
    # The file first: from then on nobody opens it, nor writes to it; then nobody finds its journal beside another one.
    if path.exists():
        path.rename(new)
    _rename_journals(path, new)


def change_journals(path: Path, former: Inode, former_journal: Inode | None) -> None:
    """Somebody put another database in the place of one that was open: the former's journal would be replayed into it.

    It is set aside, where it is found again if the former one comes back. Only that one is moved: another process may have
    begun a new one already. Call it within `alone_with`. Raises OSError.
    """
    if former_journal is not None and journal_of(path) == former_journal:
        _rename_journals(path, path.with_name(f"{path.name}.replaced-{former[1]}"))
    if journal_of(path) is None:
        _rename_journals(path.with_name(f"{path.name}.replaced-{inode_of(path)[1]}"), path)


def _rename_journals(old: Path, new: Path) -> None:
    for ending in JOURNALS:
        journal = old.with_name(old.name + ending)
        if journal.exists():
            journal.rename(new.with_name(new.name + ending))


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Of all processes that look at this database's names, one at a time."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
