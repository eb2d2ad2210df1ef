"""Reports that were refused: kept briefly, so that a person sees which board is knocking in vain and why."""

import logging
from collections.abc import Sequence

from sqlalchemy import Row, select

from bootpilot_server.errors import DatabaseUnavailableError
from bootpilot_server.store.database import Database
from bootpilot_server.store.dialect import insert_or_update
from bootpilot_server.store.schema import refusals

log = logging.getLogger(__name__)

MAX_REFUSALS = 100


def note_refusal(database: Database, address: str, detail: str, now: float) -> None:
    """Count one. It never keeps the refusal itself from being answered."""
    fresh = {"address": address, "detail": detail[:500], "times": 1, "first_at": now, "last_at": now}
    again = {"times": refusals.c.times + 1, "last_at": now}
    try:
        with database.writing() as connection:
            insert_or_update(connection, refusals, fresh, again)
            edge = (
                select(refusals.c.last_at).order_by(refusals.c.last_at.desc()).offset(MAX_REFUSALS).limit(1).scalar_subquery()
            )
            connection.execute(refusals.delete().where(refusals.c.last_at <= edge))
    except DatabaseUnavailableError as error:
        log.warning("a refusal could not be kept: %s", error)


def list_refusals(database: Database, limit: int = 20) -> Sequence[Row[tuple[object, ...]]]:
    """Newest first; rows have address, detail, times, first_at and last_at."""
    with database.reading() as connection:
        return connection.execute(select(refusals).order_by(refusals.c.last_at.desc()).limit(limit)).all()
