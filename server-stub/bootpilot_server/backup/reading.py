"""`bootpilot restore FILE`: a backup becomes the folder of a server. What was there is kept aside, never deleted.

All is unpacked, checked and, if an older program made it, upgraded beside the place where it will be; then the names change.
"""

import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

from bootpilot_agent.fields import FieldError
from bootpilot_server.artifacts.artifact_store import ArtifactStore
from bootpilot_server.artifacts.durable import sync_folder
from bootpilot_server.backup.manifest import ARTIFACTS, DATABASE, KEY, MANIFEST, SETTINGS, Manifest
from bootpilot_server.config import Config
from bootpilot_server.errors import HomeError, OperatorError
from bootpilot_server.serving.presence import is_served
from bootpilot_server.store.database import open_database
from bootpilot_server.store.database_file import alone_with, set_aside
from bootpilot_server.store.dialect import DRIVER_ERRORS, MAGIC, integrity_faults
from bootpilot_server.store.revision_records import RevisionCache

MAX_MANIFEST_BYTES = 128 << 20


@dataclass(frozen=True)
class Restored:
    """`manifest` is None for a bare database; `aside` is the folder of what was there before, None if nothing was."""

    manifest: Manifest | None
    aside: Path | None
    has_key: bool
    missing: tuple[str, ...]


def restore(config: Config, file: Path, *, force: bool) -> Restored:
    """Raises OperatorError; then the folder is as it was, but for artifacts that were added."""
    home = config.home
    if not force and is_served(home):
        raise HomeError(
            f"{home}: a server answers boards from it", "stop it first; with --force it goes on with the restored one"
        )
    if not force and config.database.exists():
        raise HomeError(f"{home}: holds a server's state", "--force keeps that aside and restores; or name another --home")
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=home) as unpacked:
            manifest = _unpack(file, Path(unpacked), ArtifactStore(config.artifacts))
            missing = _check(Path(unpacked) / DATABASE, ArtifactStore(config.artifacts))
            aside = _exchange(Path(unpacked), config)
    except (OSError, tarfile.TarError, *DRIVER_ERRORS) as error:
        raise OperatorError(f"{file}: {error}", "is it a whole backup, and is there room for what is in it?") from error
    return Restored(manifest, aside, config.secret_key.exists(), missing)


def _unpack(file: Path, folder: Path, artifacts: ArtifactStore) -> Manifest | None:
    """Into this folder, artifacts into the store. A bare database is taken too: upgrades leave one beside the new one."""
    with file.open("rb") as stream:
        is_database = stream.read(len(MAGIC)) == MAGIC
    if is_database:
        shutil.copyfile(file, folder / DATABASE)
        return None
    with tarfile.open(file, "r:") as archive:
        first = archive.next()
        if first is None or first.name != MANIFEST or first.size > MAX_MANIFEST_BYTES:
            raise OperatorError(f"{file}: is no backup of this program", "`bootpilot backup FILE` makes one")
        manifest = _read_manifest(file, archive, first)
        for member in archive:
            _take(archive, member, folder, artifacts)
    if not (folder / DATABASE).exists():
        raise OperatorError(f"{file}: ends before the database", "it was cut off; take another one")
    return manifest


def _read_manifest(file: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Manifest:
    stream = archive.extractfile(member)
    try:
        return Manifest.from_bytes(stream.read() if stream else b"")
    except FieldError as error:
        raise OperatorError(f"{file}: {MANIFEST}: {error}", "was it made by a newer program?") from error


def _take(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, artifacts: ArtifactStore) -> None:
    """One member, by a name that is known here: nothing that an archive says leads anywhere else."""
    stream = archive.extractfile(member) if member.isreg() else None
    if stream is None:
        return
    if member.name.startswith(ARTIFACTS):
        sha256, _ = artifacts.add(cast("BinaryIO", stream))
        if sha256 != member.name.removeprefix(ARTIFACTS):
            artifacts.remove(sha256)
            raise OperatorError(f"{member.name}: is damaged in the backup", "take another one, or one without artifacts")
    elif member.name in (DATABASE, SETTINGS, KEY):
        with (folder / member.name).open("xb") as target:
            shutil.copyfileobj(stream, target)
        (folder / member.name).chmod(0o600)


def _check(database: Path, artifacts: ArtifactStore) -> tuple[str, ...]:
    """Whole, and this program's or upgraded to it. Returns the artifacts that it needs and that are not there."""
    if faults := integrity_faults(database):
        raise OperatorError(f"the database in the backup is damaged: {faults[0]}", "take another backup")
    opened = open_database(database, create=False)
    try:
        with opened.reading() as connection:
            revision = RevisionCache().in_force(connection)
    finally:
        opened.close()
    needed = {ref.sha256 for payload in revision.payloads().values() for ref in payload.artifacts}
    return tuple(sorted(needed - artifacts.describe(needed).keys()))


def _exchange(unpacked: Path, config: Config) -> Path | None:
    """The names change: what was there is moved aside, with its journals, then the new comes. A server that runs waits."""
    home = config.home
    aside = home / f"replaced-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    with _kept_in(aside), alone_with(config.database):
        set_aside(config.database, aside / DATABASE)
        for name in (SETTINGS, KEY):
            if (unpacked / name).exists() and (home / name).exists():
                (home / name).rename(aside / name)
        for name in (KEY, SETTINGS, DATABASE):
            if (unpacked / name).exists():
                (unpacked / name).rename(home / name)
        sync_folder(home)
    return aside if aside.exists() else None


@contextmanager
def _kept_in(folder: Path) -> Iterator[None]:
    """A folder that is there for what is moved into it, and gone if nothing was."""
    folder.mkdir(mode=0o700)
    try:
        yield
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()
