"""Writes a layout as a compressed cpio and measures its parts. The only place that knows the compressor.

zstd on one thread: with several the bytes depend on their number. Debian's kernels unpack zstd (CONFIG_RD_ZSTD) several
times faster than xz, which would be a tenth smaller.
"""

import stat
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent.cpio import write_cpio
from initramfs.cache import cached_folder, file_sha256, key_of
from initramfs.command import run
from initramfs.layout import Layout

# 19 is the highest level whose window (8 MiB) a small board's kernel can keep in memory while unpacking.
LEVEL = 19
QUICK_LEVEL = 3
COMPRESS_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class PartSize:
    """What one part of an image weighs; the compressed size is its share, since the image is compressed as a whole."""

    part: str
    files: int
    raw_bytes: int
    compressed_bytes: int


def write_image(layout: Layout, image: Path, time_s: int, last_part: str) -> int:
    """Write the archive, compressed, to `image`; returns its uncompressed size in bytes.

    It has two segments, each an archive of its own, which the kernel unpacks one after the other: `last_part`, which changes
    often, and all the rest, which then need not be compressed again.
    """
    parts = layout.part_names()
    segments = [[part for part in parts if part != last_part], [last_part]]
    with ThreadPoolExecutor(len(segments)) as pool:
        done = list(pool.map(lambda names: _segment(layout, names, time_s), segments))
    with image.open("wb") as stream:
        for path, _ in done:
            stream.write(path.read_bytes())
    return sum(raw_bytes for _, raw_bytes in done)


def _segment(layout: Layout, parts: list[str], time_s: int) -> tuple[Path, int]:
    """A compressed archive of these parts, from the cache if it was compressed before, and its uncompressed size."""
    with _plain_archive(layout, parts, time_s) as (plain, raw_bytes):
        key = key_of([file_sha256(plain), LEVEL])
        folder = cached_folder("segments", key, lambda folder: _compress(plain, folder / "segment.zst", LEVEL))
        return folder / "segment.zst", raw_bytes


@contextmanager
def _plain_archive(layout: Layout, parts: list[str], time_s: int = 0) -> Iterator[tuple[Path, int]]:
    with tempfile.TemporaryDirectory(prefix="bootpilot-") as folder:
        plain = Path(folder) / "plain.cpio"
        with plain.open("wb") as stream:
            raw_bytes = write_cpio(layout.of_parts(parts), stream, time_s)
        yield plain, raw_bytes


def write_tree(layout: Layout, folder: Path) -> None:
    """Put the entries into a folder, as an ordinary user can: without device nodes, owned by whoever builds."""
    for entry in layout.ordered():
        path = folder / entry.name
        if stat.S_ISDIR(entry.mode):
            path.mkdir(exist_ok=True)
        elif stat.S_ISLNK(entry.mode) and isinstance(entry.content, bytes):
            path.symlink_to(entry.content.decode())
        elif stat.S_ISREG(entry.mode):
            path.write_bytes(entry.content if isinstance(entry.content, bytes) else entry.content.read_bytes())
            path.chmod(stat.S_IMODE(entry.mode))


def measure_parts(layout: Layout, image: Path) -> list[PartSize]:
    """The parts of an image that was written to `image`, each with its share of the compressed size.

    The shares are estimated at a quick level and scaled to the image's size.
    """
    raw, quick = {}, {}
    for part in layout.part_names():
        with _plain_archive(layout, [part]) as (plain, raw[part]):
            packed = plain.with_suffix(".zst")
            _compress(plain, packed, QUICK_LEVEL)
            quick[part] = packed.stat().st_size
    scale = image.stat().st_size / max(1, sum(quick.values()))
    counts = {part: sum(1 for _ in layout.of_parts([part])) for part in raw}
    return [PartSize(part, counts[part], raw[part], round(quick[part] * scale)) for part in raw]


def _compress(source: Path, target: Path, level: int) -> None:
    argv = ["zstd", "--quiet", "--force", f"-{level}", "--single-thread", "--check", "-o", str(target), str(source)]
    run(argv, timeout_s=COMPRESS_TIMEOUT_S, hint="apt-get install zstd")
