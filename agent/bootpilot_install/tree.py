"""The new system's files, written so that nothing can lead out of their folder. Owns descriptors of folders in it.

Every name is opened from its parent's descriptor and never through a symbolic link; links on the way are read and followed
here, inside the tree. So neither a hostile archive nor a hostile /etc makes a write land elsewhere.
"""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from bootpilot_install.errors import SetupError

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# As many as the kernel follows (include/linux/namei.h, MAXSYMLINKS).
MAX_LINKS = 40
KEPT_FOLDERS = 256
MAX_TEXT_BYTES = 4 << 20

Parts = tuple[bytes, ...]


class OutOfTreeError(Exception):
    """A name leads out of the tree, through the link that the message names."""


class Tree:
    """One root file system, mounted at `root`. Names are tuples of parts. Use as a context manager."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._descriptor = os.open(root, FOLDER_FLAGS)
        self._folders: dict[Parts, int] = {}

    def __enter__(self) -> "Tree":
        return self

    def __exit__(self, *details: object) -> None:
        self.forget()
        os.close(self._descriptor)

    def forget(self) -> None:
        """Close what was kept open: a folder of that name may be another one from now on."""
        for descriptor in self._folders.values():
            os.close(descriptor)
        self._folders.clear()

    def folder(self, parts: Parts, *, make: bool = False, absolute: bool = True) -> int:
        """A descriptor of the folder, lent: it is good until the next call. Links on the way are followed inside the tree.

        `make`: what is missing is made. `absolute`: a link such as /run counts from the tree's root, as for the system itself;
        otherwise it is refused. Raises OutOfTreeError, OSError.
        """
        known = self._folders.get(parts)
        if known is not None:
            return known
        descriptor = self._walk(parts, make, absolute)
        if parts:
            if len(self._folders) >= KEPT_FOLDERS:
                self.forget()
            self._folders[parts] = descriptor
            return descriptor
        os.close(descriptor)
        return self._descriptor

    def _walk(self, parts: Parts, make: bool, absolute: bool) -> int:
        stack = [os.dup(self._descriptor)]
        waiting, links = list(reversed(parts)), 0
        try:
            while waiting:
                part = waiting.pop()
                if part == b"..":
                    if len(stack) == 1:
                        raise OutOfTreeError(_shown(parts))
                    os.close(stack.pop())
                    continue
                try:
                    stack.append(_open_folder(stack[-1], part, make))
                except NotADirectoryError:
                    target = _link_target(part, stack[-1])
                    links += 1
                    if links > MAX_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
                    if target.startswith(b"/"):
                        if not absolute:
                            raise OutOfTreeError(f"{_shown(parts)}, through a link to {_shown((target,))}") from None
                        while len(stack) > 1:
                            os.close(stack.pop())
                    waiting += reversed([step for step in target.split(b"/") if step not in (b"", b".")])
            return os.dup(stack[-1])
        finally:
            for descriptor in stack:
                os.close(descriptor)

    # What follows is for single files of a system that is being set up; archives use the descriptors.

    def read_text(self, path: str) -> str:
        """A file's text, "" where there is none; bytes that are no UTF-8 are kept as they are. Raises SetupError."""
        with self._place(path) as (parent, name):
            if parent is None:
                return ""
            try:
                found = self._resolved(parent, name, path)
                if found is None:
                    return ""
                with os.fdopen(found, "rb") as file:
                    return file.read(MAX_TEXT_BYTES).decode(errors="surrogateescape")
            except FileNotFoundError:
                return ""

    def write(self, path: str, text: str | bytes, mode: int = 0o644, *, uid: int = 0, gid: int = 0) -> None:
        """The file anew, with its folders. A link of that name is replaced, not followed. Raises SetupError."""
        data = text.encode(errors="surrogateescape") if isinstance(text, str) else text
        with self._made_place(path) as (parent, name):
            remove(parent, name)
            with os.fdopen(os.open(name, FILE_FLAGS, mode & 0o777, dir_fd=parent), "wb") as file:
                file.write(data)
                os.fchown(file.fileno(), uid, gid)
                os.fchmod(file.fileno(), mode)

    def link(self, path: str, target: str) -> None:
        """A symbolic link, in place of what was there. Raises SetupError."""
        with self._made_place(path) as (parent, name):
            remove(parent, name)
            os.symlink(target, name, dir_fd=parent)

    def make_folder(self, path: str, mode: int = 0o755, *, uid: int = 0, gid: int = 0) -> None:
        """The folder with this mode and owner, made if it is missing. Raises SetupError."""
        with _told(path):
            descriptor = self.folder(_parts(path), make=True)
            os.fchown(descriptor, uid, gid)
            os.fchmod(descriptor, mode)

    def remove(self, path: str) -> None:
        """Whatever has this name, with all below it; a link itself, not what it points at. Raises SetupError."""
        with self._place(path) as (parent, name):
            if parent is not None:
                remove(parent, name)
        self.forget()

    def names(self, path: str) -> list[str]:
        """Sorted names in a folder, [] if there is none. Raises SetupError."""
        with _told(path):
            try:
                with os.scandir(self.folder(_parts(path))) as found:
                    return sorted(entry.name for entry in found)
            except (FileNotFoundError, NotADirectoryError):
                return []

    def has(self, path: str) -> bool:
        """Is there a file or folder of this name, through links inside the tree? Raises SetupError."""
        with _told(path):
            return self._kind(path) is not None

    def is_link(self, path: str) -> bool:
        with self._place(path) as (parent, name):
            if parent is None:
                return False
            try:
                return stat.S_ISLNK(os.lstat(name, dir_fd=parent).st_mode)
            except FileNotFoundError:
                return False

    def open_file(self, path: str) -> int | None:
        """A descriptor for reading a regular file, through links inside the tree; None if there is none. Raises SetupError."""
        with self._place(path) as (parent, name):
            if parent is None:
                return None
            try:
                return self._resolved(parent, name, path)
            except FileNotFoundError:
                return None

    def _kind(self, path: str) -> int | None:
        try:
            self.folder(_parts(path))
        except NotADirectoryError:
            pass
        except FileNotFoundError:
            return None
        else:
            return stat.S_IFDIR
        found = self.open_file(path)
        if found is None:
            return None
        os.close(found)
        return stat.S_IFREG

    def _resolved(self, parent: int, name: bytes, path: str) -> int | None:
        """The file itself, or what a link of that name leads to inside the tree."""
        for _ in range(MAX_LINKS):
            status = os.lstat(name, dir_fd=parent)
            if stat.S_ISREG(status.st_mode):
                return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            if not stat.S_ISLNK(status.st_mode):
                return None
            target = os.readlink(name, dir_fd=parent)
            here = () if target.startswith(b"/") else _parts(path)[:-1]
            steps = (*here, *(step for step in target.split(b"/") if step not in (b"", b".")))
            if not steps or steps[-1] == b"..":
                return None
            path = os.fsdecode(b"/".join(steps))
            parent, name = self.folder(steps[:-1]), steps[-1]
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))

    @contextlib.contextmanager
    def _place(self, path: str) -> Iterator[tuple[int | None, bytes]]:
        parts = _parts(path)
        with _told(path):
            try:
                parent: int | None = self.folder(parts[:-1])
            except (FileNotFoundError, NotADirectoryError):
                parent = None
            yield parent, parts[-1]

    @contextlib.contextmanager
    def _made_place(self, path: str) -> Iterator[tuple[int, bytes]]:
        parts = _parts(path)
        with _told(path):
            yield self.folder(parts[:-1], make=True), parts[-1]


def remove(parent: int, name: bytes) -> None:
    """What has this name in the folder, with all below it; nothing if it is not there. Raises OSError."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
            raise
        shutil.rmtree(name, dir_fd=parent)


def _open_folder(parent: int, part: bytes, make: bool) -> int:
    """Raises NotADirectoryError for a link, too (open(2), O_NOFOLLOW with O_DIRECTORY)."""
    try:
        return os.open(part, FOLDER_FLAGS, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
    os.mkdir(part, 0o755, dir_fd=parent)
    return os.open(part, FOLDER_FLAGS, dir_fd=parent)


def _link_target(part: bytes, parent: int) -> bytes:
    """Raises NotADirectoryError for what is no link either."""
    try:
        return os.readlink(part, dir_fd=parent)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
        raise


def _parts(path: str) -> Parts:
    return tuple(part for part in os.fsencode(path).split(b"/") if part not in (b"", b"."))


def _shown(parts: Sequence[bytes]) -> str:
    return ascii(b"/".join(parts).decode(errors="backslashreplace"))[1:-1][:200]


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    try:
        yield
    except OutOfTreeError as error:
        raise SetupError(f"{path} of the new system leads out of it: {error}", "look into the image") from error
    except OSError as error:
        raise SetupError(f"{path} of the new system: {error.strerror or error}") from error
