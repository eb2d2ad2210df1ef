"""HOME/artifacts/sha256/<hex>: immutable files, each under its own digest. Touches only that folder.

A name here is always a digest, never anything a client or a board said, so no path can lead elsewhere.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from bootpilot_agent.plan import SHA256_PATTERN
from bootpilot_server.artifacts.compression import compression_of
from bootpilot_server.artifacts.durable import sync_folder
from bootpilot_server.artifacts.kernel_header import HEADER_BYTES, kernel_arch, role
from bootpilot_server.deciding.decision import StoredArtifact
from bootpilot_server.errors import HomeError

CHUNK_BYTES = 1 << 20


class ArtifactStore:
    """The folder of artifacts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # What artifact_facts.py keeps; it goes with the artifact.
        self.about = folder.parent / "about"

    def add(self, source: BinaryIO) -> tuple[str, int]:
        """Copy a stream in under its digest; returns digest and size. Adding again repairs a damaged file. Raises HomeError."""
        draft = self.folder / f".{os.getpid()}.{secrets.token_hex(8)}"
        digest, size = hashlib.sha256(), 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with draft.open("xb") as target:
                while chunk := source.read(CHUNK_BYTES):
                    digest.update(chunk)
                    size += target.write(chunk)
                target.flush()
                os.fsync(target.fileno())
            draft.chmod(0o444)
            draft.replace(self.folder / digest.hexdigest())
            sync_folder(self.folder)
        except OSError as error:
            raise HomeError(f"{self.folder}: {error.strerror}", "is there space, and may this user write there?") from error
        finally:
            with suppress(OSError):
                draft.unlink()
        return digest.hexdigest(), size

    def has(self, sha256: str) -> bool:
        return self.describe([sha256]) != {}

    def describe(self, digests: Iterable[str]) -> dict[str, StoredArtifact]:
        """What is there of these digests, with the size on the disk."""
        found = {}
        for sha256 in set(digests):
            try:
                with self.open(sha256) as file:
                    size_bytes, head = os.fstat(file.fileno()).st_size, file.read(HEADER_BYTES)
                    found[sha256] = StoredArtifact(size_bytes, kernel_arch(head), role(head), compression_of(head))
            except OSError:
                continue
        return found

    def open(self, sha256: str) -> BinaryIO:
        """Raises FileNotFoundError for what is no digest, is not there, or is a symbolic link."""
        if not re.fullmatch(SHA256_PATTERN, sha256):
            raise FileNotFoundError(sha256)
        descriptor = os.open(self.folder / sha256, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        # Unbuffered: whoever sends it by descriptor must find the position where reading left it.
        return os.fdopen(descriptor, "rb", buffering=0)

    def stored_at(self, sha256: str) -> float:
        """When it was added, or added again, in Unix seconds."""
        with self.open(sha256) as file:
            return os.fstat(file.fileno()).st_mtime

    def remove(self, sha256: str) -> None:
        """A download that has begun goes on: its file stays until it is closed. Raises HomeError."""
        try:
            (self.folder / sha256).unlink(missing_ok=True)
            (self.about / f"{sha256}.json").unlink(missing_ok=True)
        except OSError as error:
            raise HomeError(f"{self.folder / sha256}: {error.strerror}", "may this user write there?") from error

    def digests(self) -> list[str]:
        """Everything that is there, in order."""
        if not self.folder.is_dir():
            return []
        return sorted(path.name for path in self.folder.iterdir() if re.fullmatch(SHA256_PATTERN, path.name))

    def is_intact(self, sha256: str) -> bool:
        """Reads the whole file and compares its digest with its name."""
        with self.open(sha256) as file:
            digest = hashlib.sha256()
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest() == sha256
