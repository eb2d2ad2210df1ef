"""Shows what an image weighs, as a table. Pure."""

from collections.abc import Sequence

from initramfs.archive import PartSize

MB = 1_000_000


def size_table(title: str, parts: Sequence[PartSize]) -> str:
    """Lines `part, files, MB raw, MB compressed, percent`, the heaviest first, with a sum."""
    total = PartSize(
        "all", sum(p.files for p in parts), sum(p.raw_bytes for p in parts), sum(p.compressed_bytes for p in parts)
    )
    rows = [*sorted(parts, key=lambda part: -part.compressed_bytes), total]
    lines = [f"{title:<24} {'files':>6} {'MB raw':>8} {'MB zstd':>8} {'share':>6}"]
    lines += [_row(part, total.compressed_bytes) for part in rows]
    return "\n".join(lines)


def _row(part: PartSize, whole: int) -> str:
    share = part.compressed_bytes / max(1, whole)
    return f"{part.part:<24} {part.files:>6} {part.raw_bytes / MB:>8.2f} {part.compressed_bytes / MB:>8.2f} {share:>6.0%}"
