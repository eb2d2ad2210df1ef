"""The server's folder and the machine's clock: room, key, the database as a whole. Reads only."""

import ctypes
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select

from bootpilot_server.asking.secret_key import load_secret_key
from bootpilot_server.config import Config
from bootpilot_server.deciding.moments import moment
from bootpilot_server.errors import DatabaseUnavailableError, HomeError
from bootpilot_server.examining.finding import Finding, bad, good, note
from bootpilot_server.store.database import Database
from bootpilot_server.store.dialect import DRIVER_ERRORS, integrity_faults
from bootpilot_server.store.schema import nodes

LEAST_BYTES = 1 << 30
LOW_BYTES = 5 << 30
# adjtimex(2): what it returns while nothing keeps the clock right.
TIME_ERROR = 5
EARLIEST = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
TIMEX_BYTES = 512


def examine_room(home: Path) -> Finding:
    free = shutil.disk_usage(home).free
    text = f"{free / (1 << 30):.1f} GiB are free for {home}"
    hint = "`bootpilot prune` and `bootpilot artifact prune` make room; a full disk answers boards with 503"
    if free < LEAST_BYTES:
        return bad("disk", text, hint)
    return note("disk", text, hint) if free < LOW_BYTES else good("disk", text)


def examine_key(config: Config, shared: Path | None) -> Finding:
    path = shared or config.secret_key
    if shared is None and not path.exists():
        return note("secret.key", f"{path}: there is none yet", "`bootpilot serve` makes it at its first start")
    try:
        load_secret_key(config.secret_key, shared)
    except HomeError as error:
        return bad("secret.key", error.message, error.hint)
    owner, folder = path.stat().st_uid, config.home.stat().st_uid
    if shared is None and owner != folder:
        return note("secret.key", f"belongs to user {owner}, its folder to {folder}", f"chown {folder} {path}")
    return good("secret.key", f"{path}: for its owner alone")


def examine_database(path: Path) -> Finding:
    """Read as a whole: some seconds for each GiB."""
    try:
        faults = integrity_faults(path)
    except DRIVER_ERRORS as error:
        faults = [str(error)]
    if faults:
        hint = "stop the server and `bootpilot restore` a backup; then look at the disk"
        return bad("database", f"{path} is damaged: {faults[0]}", hint)
    return good("database", f"{path} is whole, {path.stat().st_size / (1 << 20):.1f} MiB")


def examine_clock(database: Database) -> Finding:
    now = time.time()
    shown = moment(now)
    hint = "start systemd-timesyncd, chrony or ntpd: deadlines, ages and certificates go by this clock"
    try:
        with database.reading() as connection:
            last = connection.execute(select(func.max(nodes.c.last_seen_at))).scalar_one_or_none() or 0.0
    except DatabaseUnavailableError:
        last = 0.0
    if now < EARLIEST or now < last - 60:
        return bad("clock", f"says {shown}, which is in the past: a board was heard of later than that", hint)
    if not is_synchronised():
        return note("clock", f"says {shown}, and nothing keeps it right", hint)
    return good("clock", f"says {shown}, and is kept right")


def is_synchronised() -> bool:
    """By the kernel's own account (adjtimex); True where it cannot be asked."""
    library = ctypes.CDLL(None, use_errno=True)
    # A struct timex of zeros asks and changes nothing; it has less than 256 bytes everywhere.
    return not hasattr(library, "adjtimex") or int(library.adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))) != TIME_ERROR
