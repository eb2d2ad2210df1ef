"""`bootpilot backup FILE`: the folder of a server in one tar file, while it answers boards.

The database is copied as a whole by its own means; artifacts never change. The file is there whole or not at all.
"""

import io
import os
import tarfile
import time
from contextlib import suppress
from pathlib import Path

from bootpilot_agent import __version__
from bootpilot_server.artifacts.durable import sync_folder
from bootpilot_server.backup.manifest import ARTIFACTS, DATABASE, KEY, MANIFEST, SETTINGS, Manifest
from bootpilot_server.errors import HomeError, OperatorError
from bootpilot_server.server import Server
from bootpilot_server.store.database import Database, open_database
from bootpilot_server.store.dialect import DRIVER_ERRORS, copy_database
from bootpilot_server.store.node_records import count_nodes
from bootpilot_server.store.revision_records import RevisionCache


def write_backup(server: Server, target: Path, *, with_artifacts: bool, with_key: bool, replace: bool) -> Manifest:
    """Raises OperatorError; then nothing of it is left."""
    if target.exists() and not replace:
        raise OperatorError(f"{target}: is there already", "name another file, or --force replaces it")
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    copy = target.with_name(f".{target.name}.{os.getpid()}.sqlite")
    try:
        copy_database(server.config.database, copy)
        manifest = _look_into(copy, server, with_artifacts=with_artifacts, with_key=with_key)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
                _fill(archive, manifest, copy, server)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
        sync_folder(target.parent)
    except (OSError, *DRIVER_ERRORS) as error:
        raise OperatorError(f"{target}: {error}", "is there room for all of it, and may this user write there?") from error
    finally:
        for left in (draft, copy, copy.with_name(copy.name + "-wal"), copy.with_name(copy.name + "-shm")):
            with suppress(OSError):
                left.unlink()
    return manifest


def _look_into(copy: Path, server: Server, *, with_artifacts: bool, with_key: bool) -> Manifest:
    database: Database = open_database(copy, create=False)
    try:
        with database.reading() as connection:
            revision = RevisionCache().in_force(connection)
            nodes = count_nodes(connection)
    finally:
        database.close()
    home = server.config.home
    if with_key and not (home / KEY).exists():
        raise HomeError(f"{home / KEY}: there is none", "BOOTPILOT_SECRET_FILE names another file: keep a copy of that one")
    return Manifest(
        made_at=time.time(),
        program=__version__,
        revision=revision.number,
        nodes=nodes,
        has_settings=(home / SETTINGS).exists(),
        has_key=with_key,
        has_artifacts=with_artifacts,
        artifacts=len(server.artifacts.digests()),
        needed=tuple(sorted({ref.sha256 for payload in revision.payloads().values() for ref in payload.artifacts})),
    )


def _fill(archive: tarfile.TarFile, manifest: Manifest, copy: Path, server: Server) -> None:
    home, content = server.config.home, manifest.to_bytes()
    described = tarfile.TarInfo(MANIFEST)
    described.size, described.mtime, described.mode = len(content), int(manifest.made_at), 0o600
    archive.addfile(described, io.BytesIO(content))
    archive.add(copy, DATABASE)
    for name, is_wanted in ((SETTINGS, manifest.has_settings), (KEY, manifest.has_key)):
        if is_wanted:
            archive.add(home / name, name)
    for sha256 in server.artifacts.digests() if manifest.has_artifacts else ():
        # One that was removed in the meantime was needed by nobody.
        with suppress(FileNotFoundError), server.artifacts.open(sha256) as file:
            archive.addfile(archive.gettarinfo(arcname=ARTIFACTS + sha256, fileobj=file), file)
