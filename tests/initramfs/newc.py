"""Reads newc archives that stand one after the other, for tests: written from the format's description, not from the writer."""

import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

HEADER_BYTES = 110
TIMEOUT_S = 120


@dataclass(frozen=True)
class Found:
    """One name of an archive as it came out."""

    name: str
    mode: int
    time_s: int
    content: bytes


def unpack(image: Path) -> bytes:
    """What zstd makes of a compressed image, all its segments."""
    return subprocess.run(["zstd", "-dcq", str(image)], capture_output=True, check=True, timeout=TIMEOUT_S).stdout


def read_newc(archive: bytes) -> list[Found]:
    """Every entry of every archive, trailers left out."""
    entries = []
    at = 0
    while at < len(archive):
        if archive[at] == 0:  # padding between archives
            at += 1
            continue
        assert archive[at : at + 6] == b"070701", f"no header at {at}"
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, time_s, size, name_size = fields[1], fields[5], fields[6], fields[11]
        name = archive[at + HEADER_BYTES : at + HEADER_BYTES + name_size - 1].decode()
        start = (at + HEADER_BYTES + name_size + 3) & ~3
        at = (start + size + 3) & ~3
        if name != "TRAILER!!!":
            entries.append(Found(name, mode, time_s, archive[start : start + size]))
    return entries


def unpack_tree(image: Path, folder: Path) -> Path:
    """An image's files in a folder, without its device nodes; returns the folder."""
    for entry in read_newc(unpack(image)):
        path = folder / entry.name
        if stat.S_ISDIR(entry.mode):
            path.mkdir(exist_ok=True)
            path.chmod(stat.S_IMODE(entry.mode))
        elif stat.S_ISLNK(entry.mode):
            path.symlink_to(entry.content.decode())
        elif stat.S_ISREG(entry.mode):
            path.write_bytes(entry.content)
            path.chmod(stat.S_IMODE(entry.mode))
    return folder
