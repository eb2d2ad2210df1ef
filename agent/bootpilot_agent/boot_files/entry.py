"""One way to start an installed system, and what the readers of boot files may look at. No I/O here."""

from dataclasses import dataclass
from typing import Protocol

MAX_FILE_BYTES = 1 << 20
MAX_ENTRIES = 256


class BootFileError(ValueError):
    """A boot file, or a path in one, that nothing can be started by. Its text names the file and what is wrong with it."""


@dataclass(frozen=True)
class Entry:
    """Paths are those of the partition that holds the boot file. `source` names file and entry, for a person.

    `file_system` is the UUID of the file system that the entry says its files are on, "" where it says none. `dtb` is one file;
    `dtb_folder` one with a file for each board; with neither, the entry names no device tree.
    """

    source: str
    kernel: str
    initrds: tuple[str, ...] = ()
    command_line: str = ""
    dtb: str = ""
    dtb_folder: str = ""
    overlays: tuple[str, ...] = ()
    file_system: str = ""


class Tree(Protocol):
    """A partition, read-only. A path is absolute, and never leads out of it: `..` and links are followed within, or refused."""

    def read(self, path: str, most: int = MAX_FILE_BYTES) -> bytes:
        """A whole file. Raises BootFileError: not there, no file, longer than `most`, or leading out of the partition."""

    def names(self, folder: str) -> list[str]:
        """Sorted names in a folder; [] if there is none."""

    def is_file(self, path: str) -> bool:
        """Is this a file that can be read here?"""


def read_text(tree: Tree, path: str) -> str:
    """A boot file as text; bytes that are no UTF-8 are replaced, NULs taken out. Raises BootFileError."""
    return tree.read(path).decode("utf-8", errors="replace").replace("\0", "")


def join_path(folder: str, path: str) -> str:
    """An absolute path; one that is relative counts from `folder`."""
    return path if path.startswith("/") else f"{folder.rstrip('/')}/{path}"


def parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"
