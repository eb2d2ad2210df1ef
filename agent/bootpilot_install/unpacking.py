"""Members of an archive -> files of a tree: owners, modes, times, attributes, holes and links as they were.

The time of a folder is set at the end, because every file made in it changes it.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator

from bootpilot_install.errors import DiskError, DiskFullError, ImageError
from bootpilot_install.member_rules import check_member, clean_path, is_harmless_device
from bootpilot_install.tar_format import Kind, Member, Read, TarReader
from bootpilot_install.tree import FILE_FLAGS, OutOfTreeError, Parts, Tree, remove

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# FAT has neither owners nor attributes, and says so with one of these.
NOT_KEPT = (errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL)


class Unpacker:
    """Writes members into one tree; `finish()` when all are there. `say` hears once what the file system cannot keep."""

    def __init__(self, tree: Tree, say: Callable[[str], None]) -> None:
        self._tree = tree
        self._say = say
        self._said: set[str] = set()
        self._folder_times: dict[Parts, int] = {}
        self.files = 0

    def unpack(self, read: Read) -> None:
        """A whole archive. Raises ImageError, DiskFullError, DiskError; what is there by then stays."""
        reader = TarReader(read)
        for member in reader.members():
            self.put(member, reader)
        if not self.files:
            raise ImageError("the archive is empty", "is it the root file system?")

    def put(self, member: Member, reader: TarReader) -> Parts:
        """One member; returns where it is. Raises ImageError, DiskFullError, DiskError."""
        parts = check_member(member)
        with _told(member):
            self._make(member, parts, reader)
        self.files += 1
        return parts

    def finish(self) -> None:
        """The times of all folders, the deepest first. Raises DiskError."""
        for parts in sorted(self._folder_times, key=len, reverse=True):
            with contextlib.suppress(OSError, OutOfTreeError):  # replaced by a later layer
                os.utime(self._tree.folder(parts), ns=(self._folder_times[parts],) * 2)

    def _make(self, member: Member, parts: Parts, reader: TarReader) -> None:
        if member.kind is Kind.FOLDER:
            self._make_folder(member, parts)
            return
        if is_harmless_device(member, parts):
            return
        parent = self._tree.folder(parts[:-1], make=True, absolute=False)
        match member.kind:
            case Kind.FILE:
                self._make_file(member, parent, parts[-1], reader)
            case Kind.HARD_LINK:
                self._make_hard_link(member, parent, parts)
            case Kind.SYMLINK:
                self._replacing(parent, parts[-1], lambda name: os.symlink(member.link, name, dir_fd=parent))
                self._own_link(member, parent, parts[-1])
            case Kind.FIFO:
                self._replacing(parent, parts[-1], lambda name: os.mkfifo(name, 0o600, dir_fd=parent))
                self._own_link(member, parent, parts[-1])
                os.chmod(parts[-1], member.mode, dir_fd=parent)

    def _make_folder(self, member: Member, parts: Parts) -> None:
        if parts:
            parent = self._tree.folder(parts[:-1], make=True, absolute=False)
            try:
                os.mkdir(parts[-1], 0o700, dir_fd=parent)
            except FileExistsError:
                if not stat.S_ISDIR(os.lstat(parts[-1], dir_fd=parent).st_mode):
                    os.unlink(parts[-1], dir_fd=parent)
                    os.mkdir(parts[-1], 0o700, dir_fd=parent)
                    self._tree.forget()
        descriptor = self._tree.folder(parts, absolute=False)
        self._own(member, descriptor)
        self._folder_times[parts] = member.mtime_ns

    def _make_file(self, member: Member, parent: int, name: bytes, reader: TarReader) -> None:
        descriptor = self._replacing(parent, name, lambda name: os.open(name, FILE_FLAGS, 0o600, dir_fd=parent))
        try:
            end = 0
            for offset, data in reader.content(member):
                _write_all(descriptor, data, offset)
                end = offset + len(data)
            if end < member.size:
                os.ftruncate(descriptor, member.size)
            self._own(member, descriptor)
            os.utime(descriptor, ns=(member.mtime_ns, member.mtime_ns))
        finally:
            os.close(descriptor)

    def _make_hard_link(self, member: Member, parent: int, parts: Parts) -> None:
        source = clean_path(member.link, "the hard link's target")
        if source == parts:
            return
        # The walk to the target closes descriptors that were lent earlier.
        own = os.dup(parent)
        try:
            folder = self._tree.folder(source[:-1], absolute=False)
            status = os.lstat(source[-1], dir_fd=folder)
            if stat.S_ISDIR(status.st_mode):
                raise ImageError(f"the archive holds {member.shown}: a hard link to a folder")

            def link(name: bytes) -> None:
                os.link(source[-1], name, src_dir_fd=folder, dst_dir_fd=own, follow_symlinks=False)

            self._replacing(own, parts[-1], link)
        except FileNotFoundError:
            raise ImageError(
                f"the archive holds {member.shown}: a hard link to {member.link[:200]!a}, which is not there before it"
            ) from None
        finally:
            os.close(own)

    def _replacing(self, parent: int, name: bytes, make: Callable[[bytes], int | None]) -> int:
        """Make it; where there is something of that name, in its place."""
        try:
            return make(name) or 0
        except FileExistsError:
            was_way = not stat.S_ISREG(os.lstat(name, dir_fd=parent).st_mode)
            remove(parent, name)
            made = make(name) or 0
            if was_way:
                self._tree.forget()
            return made

    def _own(self, member: Member, descriptor: int) -> None:
        """Owner first: changing it takes the setuid bit and capabilities away (chown(2))."""
        with self._unless_kept("owners"):
            os.fchown(descriptor, member.uid, member.gid)
        os.fchmod(descriptor, member.mode)
        for name, value in member.xattrs.items():
            with self._unless_kept(f"the attribute {name}"):
                os.setxattr(descriptor, name, value)

    def _own_link(self, member: Member, parent: int, name: bytes) -> None:
        with self._unless_kept("owners"):
            os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
        os.utime(name, ns=(member.mtime_ns, member.mtime_ns), dir_fd=parent, follow_symlinks=False)

    @contextlib.contextmanager
    def _unless_kept(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in NOT_KEPT:
                raise
            if what not in self._said:
                self._said.add(what)
                self._say(f"image: this file system does not keep {what}: {error.strerror}")


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


@contextlib.contextmanager
def _told(member: Member) -> Iterator[None]:
    try:
        yield
    except OutOfTreeError as error:
        raise ImageError(
            f"the archive holds {member.shown}: it leads out of the tree ({error})",
            "a root file system has no such thing; make the archive anew",
        ) from error
    except OSError as error:
        if error.errno in NO_SPACE:
            raise DiskFullError(
                f"the disk is full at {member.shown} ({error.strerror})", "order a larger partition or disk, or a smaller image"
            ) from error
        if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR, errno.EEXIST):
            raise ImageError(f"the archive holds {member.shown}, where it cannot be: {error.strerror}") from error
        raise DiskError(
            f"{member.shown}: {error.strerror or error}", "is the disk failing? See the kernel's messages"
        ) from error
