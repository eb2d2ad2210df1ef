"""One writer whose commits are shared: writers of a process take turns in one transaction, each in a savepoint of its own.

Writing a commit out to the disk takes milliseconds, in which the next writers queue; then all of them share the next commit.
Nobody goes on before the commit, so nobody is told what a power cut could undo. A body that fails undoes its own part only; a
commit that fails, fails all.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from bootpilot_server.errors import DatabaseUnavailableError
from bootpilot_server.store.dialect import has_transaction

# The first of a group waits for the last: so many, and no newcomer after so long.
MAX_MEMBERS = 64
MAX_S = 0.1
# Between two groups the lock is free, so that other processes get their turn: they look for it every millisecond.
GAP_S = 0.002


@dataclass
class _Group:
    """One transaction and those who share it. `fault` counts once `ended` is set."""

    connection: Connection
    began_s: float = field(default_factory=time.monotonic)
    members: int = 0
    is_changed: bool = False
    fault: BaseException | None = None
    ended: threading.Event = field(default_factory=threading.Event)


class GroupCommit:
    """The writers of one process. `before_commit` may raise: then nothing is kept."""

    def __init__(self, engine: Engine, timeout_s: float, before_commit: Callable[[], None]) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self._before_commit = before_commit
        self._turn = _Turn()
        # Both belong to whoever has the turn.
        self._group: _Group | None = None
        self.commits = 0

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A turn in the transaction: once this is left, it is on the disk. Raises DatabaseUnavailableError, DBAPIError."""
        if not self._turn.take(self._timeout_s):
            raise DatabaseUnavailableError("another writer holds the database")
        group = self._join()
        failed: BaseException | None = None
        try:
            with group.connection.begin_nested():
                yield group.connection
            group.is_changed = True
        except BaseException as error:
            # Whatever it is, the turn must be passed on first.
            failed = error
            if isinstance(error, DBAPIError | InvalidRequestError) and not has_transaction(group.connection):
                group.fault = error
        self._leave(group)
        if group.fault is not None and group.fault is not failed:
            raise DatabaseUnavailableError(f"nothing was kept: {group.fault}") from group.fault
        if failed is not None:
            raise failed

    def _join(self) -> _Group:
        """With the turn: the transaction that is open, or a new one."""
        if self._group is None:
            try:
                connection = self._engine.connect()
                try:
                    connection.begin()
                except BaseException:
                    connection.close()
                    raise
            except BaseException:
                self._turn.pass_on()
                raise
            self._group = _Group(connection)
        self._group.members += 1
        return self._group

    def _leave(self, group: _Group) -> None:
        """Pass the turn on, to a next member if one may come, and come back when the transaction has ended."""
        is_full = group.members >= MAX_MEMBERS or time.monotonic() - group.began_s > MAX_S
        if group.fault is None and not is_full and self._turn.pass_to_next():
            group.ended.wait()
            return
        try:
            self._end(group)
        finally:
            self._group = None
            group.ended.set()
            if self._turn.is_awaited():
                time.sleep(GAP_S)
            self._turn.pass_on()

    def _end(self, group: _Group) -> None:
        try:
            if group.fault is None and group.is_changed:
                self._before_commit()
                group.connection.commit()
                self.commits += 1
        except BaseException as error:
            # Every member hears of it.
            group.fault = error
        finally:
            # What was not committed is rolled back; a connection that cannot even do that is thrown away.
            with suppress(DBAPIError, InvalidRequestError):
                group.connection.close()


class _Turn:
    """A lock that goes round in the order in which it was asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_taken = False
        self._waiting: deque[threading.Event] = deque()

    def take(self, timeout_s: float) -> bool:
        """False if it did not come within this time."""
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return True
            mine = threading.Event()
            self._waiting.append(mine)
        if mine.wait(timeout_s):
            return True
        with self._lock:
            # It may have come just now; then it must be used.
            if mine.is_set():
                return True
            self._waiting.remove(mine)
            return False

    def is_awaited(self) -> bool:
        with self._lock:
            return bool(self._waiting)

    def pass_to_next(self) -> bool:
        """False, and nothing has changed, if nobody waits."""
        with self._lock:
            if not self._waiting:
                return False
            self._waiting.popleft().set()
            return True

    def pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._is_taken = False
