"""The door to HOME/state.sqlite: readers, one writer, and every fault of the database as one exception.

Writers take the database's lock when they begin, so that what a transaction read is still true when it writes. Readers cannot
write at all: no GET changes state, whatever its code does. A file that is gone, or another in its place, is never written to;
when the server's own database is there again, all goes on by itself.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bootpilot_server.errors import DatabaseUnavailableError, HomeError
from bootpilot_server.store import upgrade
from bootpilot_server.store.database_file import alone_with, change_journals, inode_of, journal_of
from bootpilot_server.store.dialect import DRIVER_ERRORS, make_engine, peek
from bootpilot_server.store.group_commit import GroupCommit
from bootpilot_server.store.schema import REVISION, about

log = logging.getLogger(__name__)

BUSY_TIMEOUT_S = 5.0
POOL_SIZE = 16
# How long a server that starts waits for the one that is making or upgrading the tables.
UPGRADE_S = 600.0


class _Opened:
    """The connections to one file."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        self.path = path
        self.inode = inode_of(path)
        self.journal = journal_of(path)
        self.reader = make_engine(path, begin="DEFERRED", query_only=True, timeout_s=timeout_s, pool_size=POOL_SIZE)
        self.engine = make_engine(path, begin="IMMEDIATE", query_only=False, timeout_s=timeout_s, pool_size=1)
        self.writer = GroupCommit(self.engine, timeout_s, self.check)

    def check(self) -> None:
        """An open connection to a deleted file goes on working, and everything written to it is lost."""
        if inode_of(self.path) != self.inode:
            raise DatabaseUnavailableError(f"{self.path} was replaced while it was in use")

    def close(self) -> None:
        self.reader.dispose()
        self.engine.dispose()


class Database:
    """One SQLite file, used by many threads of many processes. `path` must exist; see `open_database`."""

    def __init__(self, path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._opened = _Opened(path, busy_timeout_s)
        self._reopening = threading.Lock()
        self._server_id = ""

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view; writing through it fails. Raises DatabaseUnavailableError."""
        with _told_as_one(), self._current().reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The one writer's transaction: all of it is kept when this is left, or nothing. Raises DatabaseUnavailableError."""
        with _told_as_one(), self._current().writer.writing() as connection:
            yield connection

    @contextmanager
    def remaking(self) -> Iterator[Connection]:
        """The one writer's transaction, in which tables may be made anew. Raises DatabaseUnavailableError."""
        engine = make_engine(self.path, begin="IMMEDIATE", query_only=False, timeout_s=UPGRADE_S, pool_size=1, cascade=False)
        try:
            with _told_as_one(), engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    @property
    def commits(self) -> int:
        """How often this process wrote something out; many writers may share one."""
        return self._opened.writer.commits

    def identify(self) -> None:
        """Remember which server's database this is: another one in its place will not be taken for it."""
        with self.reading() as connection:
            found = connection.execute(select(about.c.value).where(about.c.key == "server_id")).scalar_one_or_none()
        self._server_id = found or ""

    def close(self) -> None:
        self._opened.close()

    def _current(self) -> _Opened:
        """The connections to the file that has the name now. Raises DatabaseUnavailableError."""
        opened = self._opened
        if inode_of(self.path) == opened.inode:
            # It is made by the first who reads, and stays as long as one of our connections is open.
            opened.journal = opened.journal or journal_of(self.path)
            return opened
        with self._reopening, alone_with(self.path):
            if inode_of(self.path) != self._opened.inode:
                self._opened = self._reopened(self._opened)
            return self._opened

    def _reopened(self, former: _Opened) -> _Opened:
        # Looked at without opening it: a database that is not ours keeps its journal, and the former one its own. Who has only
        # just begun, and knows no server's name yet, is the server of what is there now.
        revision, server_id = peek(self.path)
        if revision != REVISION or self._server_id not in ("", server_id):
            raise DatabaseUnavailableError(
                f"{self.path} was replaced by the database of another server or program; if that is meant, restart this one"
            )
        change_journals(self.path, former.inode, former.journal)
        opened = _Opened(self.path, self._busy_timeout_s)
        former.close()
        log.warning("%s was replaced while the server runs; it goes on with the one that is there now", self.path)
        return opened


def open_database(path: Path, *, create: bool) -> Database:
    """Raises HomeError if there is none, it is no database of ours, or a newer program made it."""
    if create and not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
        except OSError as error:
            raise HomeError(f"{path}: {error.strerror}", "choose another folder with --home or BOOTPILOT_HOME") from error
    if not path.exists():
        raise HomeError(f"{path}: there is no boot server's database", "--home or BOOTPILOT_HOME names its folder")
    database = Database(path)
    try:
        with database.reading() as connection:
            is_ready = upgrade.is_ready(connection)
        if not is_ready:
            upgrade.prepare(path, database.remaking)
        database.identify()
    except DatabaseUnavailableError as error:
        database.close()
        raise HomeError(f"{path}: {error}", "is it a database of this program, and may this user write it?") from error
    except HomeError:
        database.close()
        raise
    return database


@contextmanager
def _told_as_one() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, PoolTimeoutError, *DRIVER_ERRORS) as error:
        raise DatabaseUnavailableError(str(getattr(error, "orig", None) or error)) from error
