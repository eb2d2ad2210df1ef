"""The files behind simulated disks: made empty, and compared bit by bit before and after. Touches those files only."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.lab.disks import Bus, Disk

MIB = 1 << 20
CHUNK_BYTES = 1 << 20


def make_disk(path: Path, bus: Bus, serial: str, size_mib: int) -> Disk:
    """An empty disk, which takes no room on this machine until something is written."""
    with path.open("xb") as stream:
        stream.truncate(size_mib * MIB)
    return Disk(path, bus, serial)


def image_digest(path: Path, begin: int = 0, end: int | None = None) -> str:
    """SHA-256 of what bytes `begin` to `end` hold. Zeros count by their place only, so holes of a sparse file are not read."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for at, chunk in _chunks_with_content(
            stream.fileno(), begin, os.fstat(stream.fileno()).st_size if end is None else end
        ):
            digest.update(at.to_bytes(8, "big") + len(chunk).to_bytes(4, "big") + chunk)
    return digest.hexdigest()


def _chunks_with_content(handle: int, begin: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Chunks at fixed places that are not all zeros, whether the file system stores zeros or not."""
    at = begin
    while at < end:
        try:
            data = os.lseek(handle, at, os.SEEK_DATA)
        except OSError:  # ENXIO: nothing but a hole up to the end
            return
        at = max(at, data - (data - begin) % CHUNK_BYTES)
        chunk = os.pread(handle, min(CHUNK_BYTES, end - at), at) if at < end else b""
        if chunk.strip(b"\0"):
            yield at, chunk
        at += CHUNK_BYTES


@dataclass(frozen=True)
class DiskState:
    """What a set of images held at one moment."""

    digests: dict[Path, str]

    @classmethod
    def of(cls, paths: Iterable[Path]) -> "DiskState":
        return cls({path: image_digest(path) for path in paths})

    def changed(self) -> list[Path]:
        """The images that hold something else by now, be it one bit."""
        return [path for path, digest in self.digests.items() if image_digest(path) != digest]
