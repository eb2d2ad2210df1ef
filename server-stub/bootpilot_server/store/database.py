"""The door to HOME/state.sqlite: one writer at a time, and every fault of the database as one exception.

Writers take SQLite's lock when they begin (BEGIN IMMEDIATE), so that what a transaction read is still true when it writes.
Readers cannot write at all (query_only): no GET changes state, whatever its code does.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bootpilot_server.errors import DatabaseUnavailableError, HomeError
from bootpilot_server.store import upgrade
from bootpilot_server.store.dialect import DRIVER_ERRORS, make_engine

BUSY_TIMEOUT_S = 5.0
POOL_SIZE = 16
# How long a server that starts waits for the one that is making or upgrading the tables.
UPGRADE_S = 600.0


class Database:
    """One SQLite file, used by many threads of many processes. `path` must exist; see `open_database`."""

    def __init__(self, path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._inode = _inode(path)
        self._reader = make_engine(path, begin="DEFERRED", query_only=True, timeout_s=busy_timeout_s, pool_size=POOL_SIZE)
        self._writer = make_engine(path, begin="IMMEDIATE", query_only=False, timeout_s=busy_timeout_s, pool_size=1)
        # Within a process writers queue here, which is fair; SQLite's own wait between processes is a polling loop.
        self._turn = threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view; writing through it fails. Raises DatabaseUnavailableError."""
        with self._transaction(self._reader) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The one writer's transaction: all of it is kept, or nothing. Raises DatabaseUnavailableError."""
        if not self._turn.acquire(timeout=self._busy_timeout_s):
            raise DatabaseUnavailableError("another writer holds the database")
        try:
            with self._transaction(self._writer) as connection:
                yield connection
        finally:
            self._turn.release()

    @contextmanager
    def remaking(self) -> Iterator[Connection]:
        """The one writer's transaction, in which tables may be made anew. Raises DatabaseUnavailableError."""
        engine = make_engine(self.path, begin="IMMEDIATE", query_only=False, timeout_s=UPGRADE_S, pool_size=1, cascade=False)
        try:
            with self._transaction(engine) as connection:
                yield connection
        finally:
            engine.dispose()

    def close(self) -> None:
        self._reader.dispose()
        self._writer.dispose()

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        # An open connection to a deleted file goes on working, and everything written to it is lost.
        if _inode(self.path) != self._inode:
            raise DatabaseUnavailableError(f"{self.path} was removed or replaced while the server runs; restart it")
        try:
            with engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except (DBAPIError, PoolTimeoutError, *DRIVER_ERRORS) as error:
            raise DatabaseUnavailableError(str(getattr(error, "orig", None) or error)) from error


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
            ready = upgrade.is_ready(connection)
        if not ready:
            upgrade.prepare(path, database.remaking)
    except DatabaseUnavailableError as error:
        database.close()
        raise HomeError(f"{path}: {error}", "is it a database of this program, and may this user write it?") from error
    except HomeError:
        database.close()
        raise
    return database


def _inode(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise DatabaseUnavailableError(f"{path}: {error.strerror}") from error
    return status.st_dev, status.st_ino
