"""The door to HOME/state.sqlite: one writer at a time, and every fault of the database as one exception.

Writers take SQLite's lock when they begin (BEGIN IMMEDIATE), so that what a transaction read is still true when it writes.
Readers cannot write at all (query_only): no GET changes state, whatever its code does.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bootpilot_server.errors import DatabaseUnavailableError, HomeError
from bootpilot_server.store.migrations import MIGRATIONS
from bootpilot_server.store.schema import SCHEMA_VERSION, metadata

BUSY_TIMEOUT_S = 5.0
POOL_SIZE = 16


class Database:
    """One SQLite file, used by many threads of many processes. `path` must exist; see `open_database`."""

    def __init__(self, path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._inode = _inode(path)
        self._reader = self._engine("DEFERRED", query_only=True)
        self._writer = self._engine("IMMEDIATE", query_only=False)
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
        except (DBAPIError, PoolTimeoutError, sqlite3.Error) as error:
            raise DatabaseUnavailableError(str(getattr(error, "orig", None) or error)) from error

    def _engine(self, begin: str, *, query_only: bool) -> Engine:
        # mode=rw: a database that is gone must be an error, not an empty new one.
        url = f"sqlite:///file:{quote(str(self.path.absolute()))}?mode=rw&uri=true"
        engine = create_engine(
            url, pool_size=POOL_SIZE, max_overflow=POOL_SIZE * 4, connect_args={"timeout": self._busy_timeout_s}
        )

        @event.listens_for(engine, "connect")
        def _connect(connection: Any, _record: object) -> None:
            # None: sqlite3 itself opens no transactions, so that BEGIN below is the only one.
            connection.isolation_level = None
            # FULL: a plan that was answered is on the disk even if the power fails now.
            for pragma in ("journal_mode = WAL", "foreign_keys = ON", "synchronous = FULL", f"query_only = {int(query_only)}"):
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql(f"BEGIN {begin}")

        return engine


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
        _prepare(database)
    except DatabaseUnavailableError as error:
        database.close()
        raise HomeError(f"{path}: {error}", "is it a database of this program, and may this user write it?") from error
    except HomeError:
        database.close()
        raise
    return database


def _prepare(database: Database) -> None:
    """Make the tables in an empty file, or bring an older program's up to date. Of several servers that start at once, the
    first does it and the others wait.
    """
    with database.reading() as connection:
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if version > SCHEMA_VERSION:
        raise HomeError(
            f"{database.path}: schema version {version} is newer than this program's {SCHEMA_VERSION}",
            "use the newer program, or another --home",
        )
    if version == SCHEMA_VERSION:
        return
    with database.writing() as connection:
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if version == 0:
            metadata.create_all(connection)
        for older in range(max(1, version), SCHEMA_VERSION) if version else ():
            for statement in MIGRATIONS[older]:
                connection.exec_driver_sql(statement)
        connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _inode(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise DatabaseUnavailableError(f"{path}: {error.strerror}") from error
    return status.st_dev, status.st_ino
