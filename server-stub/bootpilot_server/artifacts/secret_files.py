"""HOME/secret-files/<boot_id>/<name>: what was rendered with a secret, for one boot and only while it fetches. 0700, 0600.

Neither the name nor anything in the database is made from the content: who cannot read these files cannot guess at them either.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from bootpilot_agent.fields import UUID_PATTERN
from bootpilot_server.artifacts.durable import sync_folder
from bootpilot_server.errors import HomeError

NAME_PATTERN = r"[0-9a-f]{32}"


class SecretFiles:
    """The folder of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def store(self, boot_id: str, contents: Mapping[str, bytes]) -> None:
        """What the boot may fetch from now on, in place of what it could fetch before. Raises HomeError."""
        if not contents:
            self.drop(boot_id)
            return
        place = self.folder / boot_id
        try:
            for folder in (self.folder, place):
                folder.mkdir(mode=0o700, exist_ok=True)
            for name, content in contents.items():
                _write(place / name, content)
            for path in place.iterdir():
                if path.name not in contents:
                    path.unlink(missing_ok=True)
            sync_folder(place)
            sync_folder(self.folder)
        except OSError as error:
            raise HomeError(f"{place}: {error.strerror}", "is there space, and may this user write there?") from error

    def open(self, boot_id: str, name: str) -> BinaryIO:
        """Raises FileNotFoundError for what is no name of ours or is not there."""
        if not (re.fullmatch(UUID_PATTERN, boot_id) and re.fullmatch(NAME_PATTERN, name)):
            raise FileNotFoundError(name)
        descriptor = os.open(self.folder / boot_id / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        return os.fdopen(descriptor, "rb", buffering=0)

    def digest(self, boot_id: str, name: str) -> str:
        """Its SHA-256. Raises FileNotFoundError."""
        with self.open(boot_id, name) as file:
            return hashlib.sha256(file.read()).hexdigest()

    def boots(self) -> list[str]:
        """Those that have any."""
        with suppress(OSError):
            return sorted(path.name for path in self.folder.iterdir() if re.fullmatch(UUID_PATTERN, path.name))
        return []

    def stored_at(self, boot_id: str) -> float:
        """When it was given files last, in Unix seconds; 0 if it has none."""
        try:
            return (self.folder / boot_id).stat().st_mtime
        except OSError:
            return 0.0

    def drop(self, boot_id: str) -> None:
        """A download that has begun goes on: its file stays until it is closed."""
        shutil.rmtree(self.folder / boot_id, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, and never for a moment readable by others."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
