"""A mounted partition as a tree that nobody gets out of. Reads files below one folder and touches nothing else.

Links are followed as the installed system itself would see them: an absolute one counts from the partition's root. One that
climbs above the root by `..` is refused, and so is what is no plain file: opening a device or a pipe could block or do harm.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from bootpilot_agent.boot_files.entry import MAX_FILE_BYTES, BootFileError

MAX_LINKS = 32
MAX_NAMES = 4096
MAX_PATH = 4096


class ConfinedTree:
    """boot_files.entry.Tree on a mounted partition, with what is mounted below it in the installed system left out."""

    def __init__(self, top: Path, name: str) -> None:
        """`name` is the partition's, for error texts."""
        self._top = top
        self.name = name

    def read(self, path: str, most: int = MAX_FILE_BYTES) -> bytes:
        with self.open(path) as file:
            try:
                content = file.read(most + 1)
            except OSError as error:
                raise BootFileError(f"{path} on {self.name}: {error.strerror}") from error
        if len(content) > most:
            raise BootFileError(f"{path} on {self.name}: more than {most} bytes")
        return content

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(path.name for path in self._resolve(folder).iterdir())[:MAX_NAMES]
        except (OSError, BootFileError):
            return []

    def is_file(self, path: str) -> bool:
        try:
            return stat.S_ISREG(self._resolve(path).lstat().st_mode)
        except (OSError, ValueError, BootFileError):
            return False

    def size_of(self, path: str) -> int:
        """Raises BootFileError."""
        with self.open(path) as file:
            return os.fstat(file.fileno()).st_size

    def open(self, path: str) -> BinaryIO:
        """A plain file for reading. Raises BootFileError."""
        real = self._resolve(path)
        try:
            # Not blocking: a pipe would wait for a writer.
            descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            raise BootFileError(f"{path} on {self.name}: {getattr(error, 'strerror', error)}") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise BootFileError(f"{path} on {self.name}: no plain file")
        return os.fdopen(descriptor, "rb")

    def _resolve(self, path: str) -> Path:
        """The real place, every link on the way read by hand. Raises BootFileError."""
        if len(path) > MAX_PATH or "\0" in path:
            raise BootFileError(f"{path[:80]!a} on {self.name}: no path")
        waiting = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        here: list[str] = []
        links = 0
        while waiting:
            part = waiting.pop()
            if part == "..":
                if not here:
                    raise BootFileError(f"{path} on {self.name}: leads out of its partition")
                here.pop()
                continue
            target = self._link(Path(self._top, *here, part), path)
            if target is None:
                here.append(part)
                continue
            links += 1
            if links > MAX_LINKS or len(target) + len(waiting) > MAX_PATH:
                raise BootFileError(f"{path} on {self.name}: too many links")
            here = [] if target.startswith("/") else here
            waiting += [step for step in reversed(target.split("/")) if step not in ("", ".")]
        return Path(self._top, *here)

    def _link(self, real: Path, path: str) -> str | None:
        try:
            return str(real.readlink()) if real.is_symlink() else None
        except (OSError, ValueError) as error:
            raise BootFileError(f"{path} on {self.name}: {error}") from error
