"""Doing a thing twice: once to see what it would do, undone at once, and once for good if a person says so."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from bootpilot_server.errors import OperatorError
from bootpilot_server.store.database import Database

Done = TypeVar("Done")


class _UndoneError(Exception):
    pass


def rehearse(database: Database, deed: Callable[[Connection], Done]) -> Done:
    """What the deed would do at this moment. Nothing of it is kept."""
    seen: list[Done] = []
    try:
        with database.writing() as connection:
            seen.append(deed(connection))
            raise _UndoneError
    except _UndoneError:
        return seen[0]


def carry_out(database: Database, deed: Callable[[Connection], Done], shown: Done, same: Callable[[Done], object]) -> Done:
    """For good, unless somebody else has changed meanwhile what `same` says of it. Raises OperatorError."""
    with database.writing() as connection:
        done = deed(connection)
        if same(done) != same(shown):
            raise OperatorError("somebody changed these nodes meanwhile; nothing was done", "look again, and say it once more")
    return done
