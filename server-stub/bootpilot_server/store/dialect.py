"""What differs from one database to another: the one module that knows SQLite's own words. Everything else is plain SQLAlchemy.

Also here: how a connection of each kind is made, what a copy of a running database is, and how one is checked.
"""

import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite

# Both know ON CONFLICT, and SQLAlchemy spells it alike for both.
INSERTS: Mapping[str, Callable[[Table], sqlite.Insert]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}  # type: ignore[dict-item]
# Programs from before Alembic look at this number, and refuse what is newer than theirs: 1 and 2 were their schema versions.
USER_VERSION = 3
# How the file begins (fileformat2.html, 1.3.1).
MAGIC = b"SQLite format 3\0"
# How often a writer looks whether another process has let go of the lock.
LOOK_S = 0.001
# What comes from the driver itself, without SQLAlchemy around it: from copies, and while a connection is being made.
DRIVER_ERRORS = (sqlite3.Error,)


def insert_or_update(connection: Connection, table: Table, fresh: Mapping[str, Any], again: Mapping[str, Any]) -> None:
    """Add the row `fresh`, or where its primary key is there already, set what `again` says."""
    statement = INSERTS[connection.dialect.name](table).values(fresh)
    connection.execute(statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=again))


def insert_if_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Add the row unless its primary key is there already. Returns whether it was added."""
    statement = INSERTS[connection.dialect.name](table).values(row)
    return connection.execute(statement.on_conflict_do_nothing()).rowcount > 0


def make_engine(path: Path, *, begin: str, query_only: bool, timeout_s: float, pool_size: int, cascade: bool = True) -> Engine:
    """`begin` is IMMEDIATE for those who write: they take the lock first, so that what they read is still true when they
    write. `cascade` off: a table may be remade without the rows that point to it being deleted.
    """
    # mode=rw: a database that is gone must be an error, not an empty new one.
    url = f"sqlite:///file:{quote(str(path.absolute()))}?mode=rw&uri=true"
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size * 4,
        # Writers of one group take turns on one connection; never two at once.
        connect_args={"timeout": timeout_s, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        # None: sqlite3 itself opens no transactions, so that BEGIN below is the only one.
        connection.isolation_level = None
        # FULL: a plan that was answered is on the disk even if the power fails now.
        for pragma in (
            "journal_mode = WAL",
            f"foreign_keys = {int(cascade)}",
            "synchronous = FULL",
            f"query_only = {int(query_only)}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if query_only:
            # It takes no lock, and waits for none.
            connection.exec_driver_sql(f"BEGIN {begin}")
        else:
            _begin_within(connection.connection.dbapi_connection, begin, timeout_s)

    return engine


def _begin_within(driver: Any, begin: str, timeout_s: float) -> None:
    """SQLite's own wait for a lock sleeps up to 100 ms at a time (sqliteDefaultBusyCallback in main.c), so that a process that
    writes without a break would shut the others out: this one looks every millisecond, and GroupCommit leaves a gap.
    """
    end = time.monotonic() + timeout_s
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                driver.execute(f"BEGIN {begin}")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    raise
                time.sleep(LOOK_S)
            else:
                return
    finally:
        driver.execute(f"PRAGMA busy_timeout = {int(timeout_s * 1000)}")


def has_transaction(connection: Connection) -> bool:
    """Whether the transaction that was begun is still there: when the disk is full, SQLite itself rolls all of it back."""
    driver = connection.connection.dbapi_connection
    return driver is not None and bool(getattr(driver, "in_transaction", True))


def read_user_version(connection: Connection) -> int:
    """The schema version of programs from before Alembic; 0 in an empty file."""
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def mark_user_version(connection: Connection) -> None:
    connection.exec_driver_sql(f"PRAGMA user_version = {USER_VERSION}")


def broken_references(connection: Connection) -> int:
    """Rows that point to rows which are not there."""
    return len(connection.exec_driver_sql("PRAGMA foreign_key_check").all())


def peek(path: Path) -> tuple[str, str]:
    """Revision and server's id in a file, as a reader who touches nothing beside it; "" where it is no database of ours."""
    url = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
    query = "SELECT version_num, (SELECT value FROM about WHERE key = 'server_id') FROM alembic_version"
    try:
        with closing(sqlite3.connect(url, uri=True)) as connection:
            revision, server_id = connection.execute(query).fetchone() or ("", "")
    except sqlite3.Error:
        return "", ""
    return str(revision), str(server_id or "")


def integrity_faults(path: Path) -> list[str]:
    """What is wrong with the file as a whole, in the database's words; at most a few lines. Raises DRIVER_ERRORS."""
    url = f"file:{quote(str(path.absolute()))}?mode=ro"
    with closing(sqlite3.connect(url, uri=True)) as connection:
        lines = [str(line) for (line,) in connection.execute("PRAGMA integrity_check(10)")]
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    faults = [] if lines == ["ok"] else lines
    return faults + ([f"{len(broken)} rows point to rows that are not there"] if broken else [])


def copy_database(source: Path, target: Path) -> None:
    """A whole and consistent copy, while others read and write. `target` must not exist. Raises DRIVER_ERRORS, OSError."""
    target.touch(mode=0o600, exist_ok=False)
    url = f"file:{quote(str(source.absolute()))}?mode=ro"
    with closing(sqlite3.connect(url, uri=True)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
        # A copy is one file: nothing of it stands in a journal beside it.
        new.execute("PRAGMA journal_mode = DELETE")
