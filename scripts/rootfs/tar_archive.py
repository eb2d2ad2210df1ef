"""A layout as a tar archive, the same bytes each time; any archive compressed, and the names in it."""

import io
import stat
import tarfile
from pathlib import Path

from initramfs.command import run
from initramfs.layout import Layout

COMPRESS_TIMEOUT_S = 3600.0
# 19 would take three times as long for a twentieth less.
LEVEL = 15


def write_tar(layout: Layout, archive: Path, time_s: int) -> None:
    """All entries, owned by root. Device nodes are left out: the kernel's devtmpfs makes them."""
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for entry in layout.ordered():
            info = tarfile.TarInfo(f"./{entry.name}")
            info.mode, info.mtime = stat.S_IMODE(entry.mode), time_s
            content = entry.content if isinstance(entry.content, bytes) else entry.content.read_bytes()
            if stat.S_ISDIR(entry.mode):
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            elif stat.S_ISLNK(entry.mode):
                info.type, info.linkname = tarfile.SYMTYPE, content.decode()
                tar.addfile(info)
            elif stat.S_ISREG(entry.mode):
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def add_folder(archive: Path, name: str, time_s: int) -> None:
    """One more entry at the end of an uncompressed archive: an empty folder."""
    with tarfile.open(archive, "a", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, time_s
        tar.addfile(info)


def names_in(archive: Path) -> frozenset[str]:
    """The names of all that is in an uncompressed archive."""
    with tarfile.open(archive) as tar:
        return frozenset(name.removeprefix("./") for name in tar.getnames())


def compress(archive: Path, target: Path) -> None:
    """With as many threads as there are CPUs: zstd's output depends on there being threads, not on their number."""
    argv = ["zstd", "--quiet", "--force", f"-{LEVEL}", "-T0", "--check", "-o", str(target), str(archive)]
    run(argv, timeout_s=COMPRESS_TIMEOUT_S, hint="apt-get install zstd")
