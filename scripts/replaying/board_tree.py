"""Writes the recorded board's files below a folder, and lets them change as they changed. Writes nowhere else."""

import contextlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bootpilot_agent.recording_lines import BlocksLine, FileKind, FileLine
from scripts.replaying.board_files import BoardFiles, is_name
from scripts.replaying.tape import Reading, Tape

SECTOR_BYTES = 512
# Of a disk that says it is larger; the file has holes where nothing was read.
MAX_DISK_BYTES = 1 << 43


@dataclass
class BoardTree:
    """The board at `root`, as it was read before any step; `follow` brings it to a later moment."""

    root: Path
    tape: Tape
    _later: list[Reading] = field(default_factory=list)
    _files: BoardFiles = field(default_factory=BoardFiles)

    def write(self) -> None:
        """Raises OSError."""
        first: dict[tuple[str, FileKind], FileLine] = {}
        for reading in self.tape.readings:
            key = (reading.line.path, reading.line.what)
            if key in first:
                self._later.append(reading)
            else:
                first[key] = reading.line
        self._files.add_all(first.values())
        write_files(self._files, self.root)
        write_disks(self.tape.blocks, self.root)

    def follow(self, until_ms: int) -> None:
        """What had changed by then, as far as it was read again."""
        while self._later and self._later[0].at_ms <= until_ms:
            self._change(self._later.pop(0).line)

    def _change(self, line: FileLine) -> None:
        place = self._files.place_of(line.path)
        path = self.root / place
        if not place or path.is_symlink():
            return
        if line.what is FileKind.FILE and not path.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(line.content)
        elif line.what is FileKind.FOLDER:
            change_names(path, line.names)


def write_files(files: BoardFiles, root: Path) -> None:
    """Raises OSError."""
    root.mkdir(parents=True, exist_ok=True)
    for name in sorted(files.folders, key=lambda name: name.count("/")):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, content in files.files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    for name, target in files.links.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target)


def write_disks(blocks: Iterable[BlocksLine], root: Path) -> None:
    """What was read of each disk, at its place in a file of the disk's size. Raises OSError."""
    for line in blocks:
        path = root / "dev" / line.disk
        if not is_name(line.disk) or line.disk == ".." or line.offset > MAX_DISK_BYTES:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() or path.is_symlink():
            continue
        with path.open("r+b" if path.exists() else "w+b") as disk:
            disk.truncate(max(disk_bytes(line.disk, root), line.offset + len(line.content), path.stat().st_size))
            disk.seek(line.offset)
            disk.write(line.content)


def disk_bytes(name: str, root: Path) -> int:
    """As /sys says; 0 where it does not."""
    with contextlib.suppress(OSError, ValueError):
        return min(int((root / "sys/block" / name / "size").read_bytes()) * SECTOR_BYTES, MAX_DISK_BYTES)
    return 0


def change_names(folder: Path, names: tuple[str, ...]) -> None:
    """Things came and went in a folder."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name not in names:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for name in names:
        path = folder / name
        if is_name(name) and name != ".." and not path.is_symlink() and not path.exists():
            path.mkdir()
