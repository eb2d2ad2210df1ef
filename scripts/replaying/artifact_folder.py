"""Finds a payload's files by their digests: in any folder, or in a boot server's home, whose files are named so. Reads only."""

import hashlib
from pathlib import Path

# Nobody keeps payloads among more files than that; a home folder given by mistake is not searched for ever.
MAX_FILES = 10_000
READ_BYTES = 1 << 20


class ArtifactFolder:
    """Files are looked at once, when the first one is wanted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[str, Path] | None = None

    def read(self, sha256: str) -> bytes | None:
        """The file's content, None if it is not there. Raises OSError."""
        path = self._by_digest().get(sha256)
        return path.read_bytes() if path else None

    def _by_digest(self) -> dict[str, Path]:
        if self._found is None:
            files = sorted(path for path in self._folder.rglob("*") if path.is_file())[:MAX_FILES]
            self._found = {digest_of(path): path for path in files}
        return self._found


def digest_of(path: Path) -> str:
    """Of the whole file. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
