"""Reads what scripts/capture-board packed.

The file may come from anybody: only files, folders and links below proc, sys and dev are taken, within limits, and no path or
link leads out of the tree.
"""

import io
import tarfile
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from scripts.capturing.errors import CaptureError

FORMAT = "capture-board 1;"
NOTES = "capture.txt"
PLACES = ("proc", "sys", "dev")
MAX_PACKED_BYTES = 8 << 20
MAX_MEMBERS = 40_000
MAX_FILE_BYTES = 1 << 20
MAX_PLAIN_BYTES = 64 << 20
WHOLE = "was the copy cut short? run scripts/capture-board on the board again"


@dataclass(frozen=True)
class Captured:
    """Below the tree's root: `folders`, `files` with their content, `links` with their targets. `notes`: the board's words."""

    notes: str
    folders: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)


def read_archive(raw: bytes) -> Captured:
    """Raises CaptureError."""
    if len(raw) > MAX_PACKED_BYTES:
        raise CaptureError(f"{len(raw)} bytes are more than capture-board ever packs ({MAX_PACKED_BYTES})")
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:*") as archive:
            return _read(archive)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise CaptureError(f"this is no archive of capture-board: {error}", WHOLE) from error


def _read(archive: tarfile.TarFile) -> Captured:
    notes, folders, files, links, taken_bytes = "", [], {}, {}, 0
    for count, member in enumerate(archive):
        taken_bytes += member.size
        if count >= MAX_MEMBERS or member.size > MAX_FILE_BYTES or taken_bytes > MAX_PLAIN_BYTES:
            raise CaptureError(f"{member.name}: capture-board packs no more than that", "look at the archive before you use it")
        if member.name == NOTES:
            notes = _content(archive, member).decode(errors="replace")
        elif (path := _inside(member.name)) and member.isdir():
            folders.append(path)
        elif path and member.isfile():
            files[path] = _content(archive, member)
        elif path and member.issym():
            links[path] = _target(path, member.linkname)
        elif PurePosixPath(member.name) != PurePosixPath("root"):
            raise CaptureError(f"{member.name}: capture-board packs no such thing", "look at the archive before you use it")
    if not notes.startswith(FORMAT):
        raise CaptureError(f"the archive has no {NOTES} that begins with {FORMAT!r}", WHOLE)
    return Captured(notes, tuple(folders), files, links)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    if stream is None:
        raise CaptureError(f"{member.name}: no file", WHOLE)
    return stream.read()


def _inside(name: str) -> str:
    """The path below the tree's root; "" for one that is nowhere there."""
    parts = PurePosixPath(name).parts
    return "/".join(parts[1:]) if parts[:1] == ("root",) and parts[1:2] and parts[1] in PLACES and ".." not in parts else ""


def _target(path: str, target: str) -> str:
    """A link's target if it stays within the tree: up first, then down. Raises CaptureError."""
    parts = PurePosixPath(target).parts
    up = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    if up > len(PurePosixPath(path).parts) - 1 or ".." in parts[up:] or target.startswith("/"):
        raise CaptureError(f"{path} -> {target}: this link leads out of the tree", "look at the archive before you use it")
    return target
