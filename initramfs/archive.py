"""Writes a layout as a compressed cpio and measures its parts. The only place that knows the compressor.

zstd on one thread: with several the bytes depend on their number. Debian's kernels unpack zstd (CONFIG_RD_ZSTD) several
times faster than xz, which would be a tenth smaller.
"""

import io
import stat
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent.cpio import write_cpio
from initramfs.command import run
from initramfs.layout import Layout

# 19 is the highest level whose window (8 MiB) a small board's kernel can keep in memory while unpacking.
LEVEL = 19
COMPRESS_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class PartSize:
    """What one part of an image weighs; the compressed size is its share, since the image is compressed as a whole."""

    part: str
    files: int
    raw_bytes: int
    compressed_bytes: int


def write_image(layout: Layout, image: Path, time_s: int) -> int:
    """Write the archive, compressed, to `image`; returns its uncompressed size in bytes."""
    plain = image.with_suffix(".cpio")
    with plain.open("wb") as stream:
        raw_bytes = write_cpio(layout.ordered(), stream, time_s)
    _compress(plain, image, LEVEL)
    plain.unlink()
    return raw_bytes


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
        stream = io.BytesIO()
        raw[part] = write_cpio(layout.of_part(part), stream)
        quick[part] = _quick_size(stream.getvalue(), image.with_name(f"measure-{part}"))
    scale = image.stat().st_size / max(1, sum(quick.values()))
    counts = {part: sum(1 for _ in layout.of_part(part)) for part in raw}
    return [PartSize(part, counts[part], raw[part], round(quick[part] * scale)) for part in raw]


def _quick_size(content: bytes, scratch: Path) -> int:
    scratch.write_bytes(content)
    packed = scratch.with_suffix(".zst")
    _compress(scratch, packed, 3)
    size = packed.stat().st_size
    scratch.unlink()
    packed.unlink()
    return size


def _compress(source: Path, target: Path, level: int) -> None:
    argv = ["zstd", "--quiet", "--force", f"-{level}", "--single-thread", "--check", "-o", str(target), str(source)]
    run(argv, timeout_s=COMPRESS_TIMEOUT_S, hint="apt-get install zstd")
