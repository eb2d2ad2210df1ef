"""Makes the tables of an empty database, and brings an older program's up to date: Alembic, under the writer's lock.

An older database is copied beside itself first. Of several servers that start at once, one does it and the others wait.
"""

import logging
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, inspect, select

from bootpilot_server.errors import HomeError
from bootpilot_server.store.dialect import (
    DRIVER_ERRORS,
    USER_VERSION,
    broken_references,
    copy_database,
    mark_user_version,
    read_user_version,
)
from bootpilot_server.store.schema import REVISION, about, alembic_version, metadata

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
# What databases were before Alembic came: the schema version that they say -> the revision that is the same.
BEFORE_ALEMBIC = {1: "first", 2: "loaders"}

Locked = Callable[[], AbstractContextManager[Connection]]


def is_ready(connection: Connection) -> bool:
    """Whether the tables are this program's: nothing else needs to be loaded, or locked, to find that out."""
    return revision_of(connection) == REVISION


def revision_of(connection: Connection) -> str:
    """The revision of a database; "" for one without tables."""
    if inspect(connection).has_table(alembic_version.name):
        return str(connection.execute(select(alembic_version.c.version_num)).scalar_one_or_none() or "")
    version = read_user_version(connection)
    return BEFORE_ALEMBIC.get(version, f"version {version}") if version else ""


def prepare(path: Path, locked: Locked) -> None:
    """`locked` gives the one writer's connection, on which remaking a table deletes nothing else. Raises HomeError."""
    with locked() as connection:
        found = revision_of(connection)
        if found == REVISION:
            return
        if found == "":
            metadata.create_all(connection)
            connection.execute(alembic_version.insert().values(version_num=REVISION))
            connection.execute(about.insert().values(key="server_id", value=str(uuid.uuid4())))
        else:
            _upgrade(path, connection, found)
        mark_user_version(connection)


def _upgrade(path: Path, connection: Connection, found: str) -> None:
    # Imported only here: a tenth of a second that commands need not pay.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    if found not in {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}:
        raise HomeError(
            f"{path}: was made by a newer program: its revision is {found!r}, this program's {REVISION!r}",
            "use the newer program, or another --home; `bootpilot restore` takes a copy from before the change",
        )
    copy = _copy_first(path, found)
    log.info("the database %s goes from %s to %s; a copy of it as it was is %s", path, found, REVISION, copy.name)
    if read_user_version(connection) < USER_VERSION:
        command.stamp(config, found)
    command.upgrade(config, "head")
    if broken := broken_references(connection):
        raise HomeError(f"{path}: {broken} rows would point to nothing after the change to {REVISION!r}", "nothing was changed")


def _copy_first(path: Path, found: str) -> Path:
    copy = path.with_name(f"{path.stem}-{found}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}{path.suffix}")
    try:
        copy_database(path, copy)
    except (OSError, *DRIVER_ERRORS) as error:
        copy.unlink(missing_ok=True)
        raise HomeError(
            f"{path}: no copy could be made before the change from {found!r} to {REVISION!r}: {error}",
            "the folder needs room for a second copy of the database",
        ) from error
    return copy
