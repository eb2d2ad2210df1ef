"""The parts that every request needs, put together once per process."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bootpilot_server.artifacts.artifact_store import ArtifactStore
from bootpilot_server.artifacts.secret_files import SecretFiles
from bootpilot_server.asking.secret_key import load_secret_key
from bootpilot_server.asking.secret_source import SecretSource
from bootpilot_server.config import Config
from bootpilot_server.errors import HomeError
from bootpilot_server.store.database import Database, open_database
from bootpilot_server.store.intake import Intake
from bootpilot_server.store.log_retention import LogRetention
from bootpilot_server.store.revision_records import RevisionCache


@dataclass(frozen=True)
class Server:
    """One boot server. `downloads` bounds the artifacts on their way at once, so that reports always find a free thread."""

    config: Config
    database: Database
    artifacts: ArtifactStore
    secret_key: bytes = field(repr=False)
    revisions: RevisionCache
    downloads: threading.BoundedSemaphore
    log_retention: LogRetention
    intake: Intake
    secrets: SecretSource = field(repr=False)
    secret_files: SecretFiles


def default_home(environment: Mapping[str, str]) -> Path:
    """BOOTPILOT_HOME, or the place that the XDG base directory specification gives to a user's programs. Raises HomeError."""
    if named := environment.get("BOOTPILOT_HOME"):
        return Path(named)
    try:
        return Path(environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "bootpilot"
    except RuntimeError as error:
        raise HomeError("this user has no home folder", "--home or BOOTPILOT_HOME names the server's folder") from error


def read_config(home: Path) -> Config:
    """HOME/server.toml if there is one, else the defaults. Raises OperatorError."""
    path = home / "server.toml"
    try:
        return Config.from_toml(home, path.read_text("utf-8") if path.exists() else "")
    except (OSError, UnicodeDecodeError) as error:
        raise HomeError(f"{path}: {error}") from error


@contextmanager
def opened_server(config: Config, *, create: bool) -> Iterator[Server]:
    """For one command: closed at its end. Raises HomeError."""
    server = open_server(config, create=create)
    try:
        yield server
    finally:
        server.database.close()


def open_server(config: Config, *, create: bool, downloads: int = 24) -> Server:
    """`create` makes a folder that is not there yet. Raises HomeError."""
    shared = os.environ.get("BOOTPILOT_SECRET_FILE")
    database = open_database(config.database, create=create)
    return Server(
        config=config,
        database=database,
        artifacts=ArtifactStore(config.artifacts),
        secret_key=load_secret_key(config.secret_key, Path(shared) if shared else None),
        revisions=RevisionCache(),
        downloads=threading.BoundedSemaphore(downloads),
        log_retention=LogRetention(config.max_logs_mib << 20, config.keep.installs_per_node),
        intake=Intake(config.keep.events_mib << 20),
        secrets=SecretSource(config.home),
        secret_files=SecretFiles(config.secret_files),
    )
