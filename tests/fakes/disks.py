"""Disks of a simulated board, as files: a real partition table, real ext4 and FAT, read by the real blkid.

Mounting needs root, so `mount` is stood in for by e2fsprogs' debugfs and mtools, which take all files out of the image.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent.errors import CommandError
from bootpilot_agent.mark import MARK_PARTITION_TYPE, Mark
from bootpilot_agent.run import Completed
from bootpilot_agent.run import run as real_run
from tests.fakes.board import FakeBoard

MEBIBYTE = 1 << 20
ROOT_PARTUUID = "11111111-2222-4333-8444-555555555555"
ROOT_UUID = "0a1b2c3d-1111-4222-8333-444455556666"
BOOT_UUID = "0a1b2c3d-7777-4888-8999-aaaabbbbcccc"
NODE = "6f8f57f2-7a5a-4b6d-9c1f-0d4c53f1a001"
INSTALL = "00000000-0000-4000-8000-00000000000b"
SERIAL = "0123abcd4567"
LUKS = b"LUKS\xba\xbe\x00\x01".ljust(4096, b"\0")


@dataclass(frozen=True)
class Part:
    """One partition: `content` is its bytes, or a folder that becomes an ext4 file system with this UUID."""

    content: bytes | Path
    kind: str = "linux"
    partuuid: str = ""
    uuid: str = ROOT_UUID
    name: str = ""
    size_mib: int = 8


def mark_part(mark: Mark | bytes) -> Part:
    return Part(mark if isinstance(mark, bytes) else mark.to_bytes(), MARK_PARTITION_TYPE, size_mib=1)


def make_mark(after_s: int | None = None, install_id: str = INSTALL, serial: str = SERIAL) -> Mark:
    """As the installer leaves it on the board with this serial number."""
    return Mark(NODE, install_id, "dt-serial", serial, ROOT_PARTUUID, after_s)


def add_disk(board: FakeBoard, name: str, *parts: Part) -> Path:
    """A disk with these partitions, there when the agent starts. Returns the image."""
    dev, folder = board.root / "dev", board.root / "sys/block" / name
    dev.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True)
    starts = [1 + sum(part.size_mib for part in parts[:index]) for index in range(len(parts))]
    image = dev / name
    with image.open("wb") as file:
        file.truncate((2 + sum(part.size_mib for part in parts)) * MEBIBYTE)
    rows = ["label: gpt"]
    for start, part in zip(starts, parts, strict=True):
        words = [f"start={start * 2048}", f"size={part.size_mib * 2048}", f"type={part.kind}"]
        words += [f"uuid={part.partuuid}"] if part.partuuid else []
        rows.append(", ".join([*words, *([f'name="{part.name}"'] if part.name else [])]))
    subprocess.run(["sfdisk", "-q", image], input="\n".join(rows), text=True, check=True)
    (folder / "size").write_text(f"{image.stat().st_size // 512}\n")
    for number, (start, part) in enumerate(zip(starts, parts, strict=True), start=1):
        _add_partition(dev / f"{name}{number}", part)
        (folder / f"{name}{number}").mkdir()
        (folder / f"{name}{number}/partition").write_text(f"{number}\n")
        with image.open("r+b") as file:
            file.seek(start * MEBIBYTE)
            file.write((dev / f"{name}{number}").read_bytes())
    board.run.programs |= {"mount": _mount, "umount": _umount, "blkid": lambda argv: real_run(argv, timeout_s=20, check=False)}
    return image


def _add_partition(path: Path, part: Part) -> None:
    with path.open("wb") as file:
        if isinstance(part.content, bytes):
            file.write(part.content)
        file.truncate(part.size_mib * MEBIBYTE)
    if isinstance(part.content, Path):
        argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-U", part.uuid, "-d", str(part.content), str(path)]
        subprocess.run(argv, check=True, capture_output=True)


def _mount(argv: list[str]) -> Completed:
    kind, node, point = argv[2], argv[-2], argv[-1]
    if kind == "vfat":
        done = subprocess.run(["mcopy", "-s", "-n", "-i", node, "::/", point], capture_output=True, text=True)
    else:
        done = subprocess.run(["debugfs", "-R", f"rdump / {point}", node], capture_output=True, text=True)
    if done.returncode != 0 or "Bad magic" in done.stderr:
        raise CommandError(f"mount {node}: {done.stderr}")
    return Completed(0, "", "")


def _umount(argv: list[str]) -> Completed:
    for path in Path(argv[-1]).iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return Completed(0, "", "")
