"""The tables of the boards' bench: cards and times beside the generic board of the same run, and loaders. No I/O here."""

from collections.abc import Sequence
from dataclasses import dataclass

from scripts.benchmark.table import median

MEGABYTE = 1_000_000
MOST_INITRAMFS_BYTES = 12 * MEGABYTE
# What every board of an architecture is compared with.
BASELINES = {"amd64": "uefi-amd64", "arm64": "virt-arm64", "armhf": "virt-armhf", "riscv64": "virt-riscv64"}


@dataclass(frozen=True)
class BoardRow:
    """One board: its card's image, plain and compressed, and seconds from power on, one value for each run."""

    board: str
    arch: str
    image_bytes: int
    zst_bytes: int
    agent_s: tuple[float, ...]
    kexec_s: tuple[float, ...]


def render_boards(rows: Sequence[BoardRow]) -> str:
    """In Markdown; a ratio is the median beside that of the architecture's generic board, which must be among the rows."""
    baselines = {row.arch: row for row in rows if row.board == BASELINES[row.arch]}
    lines = [
        "| board | beside | card, MB | .zst, MB | agent's first line, s | ratio | kexec, s | ratio |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        base = baselines[row.arch]
        times = f"{_time(row.agent_s, base.agent_s)} | {_time(row.kexec_s, base.kexec_s)}"
        card = f"{row.image_bytes / MEGABYTE:.1f} | {row.zst_bytes / MEGABYTE:.1f}"
        lines.append(f"| {row.board} | {base.board} | {card} | {times} |")
    return "\n".join(lines) + "\n"


def render_loaders(sizes: dict[str, int]) -> str:
    """In Markdown: the compressed initramfs of each architecture, in bytes, with the drivers of all its boards."""
    lines = ["| loader initramfs, all drivers | MB | aim | |", "|---|---:|---|---|"]
    for arch, size in sizes.items():
        mark = "met" if size <= MOST_INITRAMFS_BYTES else "MISSED"
        lines.append(f"| {arch} | {size / MEGABYTE:.2f} | at most {MOST_INITRAMFS_BYTES // MEGABYTE} MB | {mark} |")
    return "\n".join(lines) + "\n"


def _time(values: Sequence[float], baseline: Sequence[float]) -> str:
    value = median(values)
    return f"{value:.1f} | {value / median(baseline):.2f}"
