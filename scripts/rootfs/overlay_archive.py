"""Writes folders and single files as one tar archive, owned by root and with modes that do not depend on a checkout's umask."""

import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class OverlayFile:
    """One file at `name`, relative to the root."""

    name: str
    content: bytes
    executable: bool = False


def write_overlays(folders: Iterable[Path], files: Iterable[OverlayFile], archive: Path) -> None:
    """All folders over each other, the later ones winning, then `files`."""
    members: dict[str, Path | OverlayFile] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if "__pycache__" not in path.parts:
                members[str(path.relative_to(folder))] = path
    members |= {file.name: file for file in files}
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, member in sorted(members.items()):
            _add(tar, name, member)


def _add(tar: tarfile.TarFile, name: str, member: Path | OverlayFile) -> None:
    info = tarfile.TarInfo(name)
    info.mode = 0o644
    if isinstance(member, OverlayFile):
        info.size = len(member.content)
        info.mode = 0o755 if member.executable else 0o644
        tar.addfile(info, io.BytesIO(member.content))
    elif member.is_symlink():
        info.type, info.linkname = tarfile.SYMTYPE, str(member.readlink())
        tar.addfile(info)
    elif member.is_dir():
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(info)
    else:
        info.mode = 0o755 if member.stat().st_mode & 0o111 else 0o644
        info.size = member.stat().st_size
        with member.open("rb") as stream:
            tar.addfile(info, stream)
