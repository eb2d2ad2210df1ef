"""Makes and reads the FAT partition inside an image file with mtools, at an offset: no mount, no loop device, no root.

The bytes depend on the content alone: fixed volume serial number, fixed times, files in a fixed order.
"""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bootpilot_agent.run import run
from scripts.sdcard.board import SECTOR_BYTES
from scripts.sdcard.layout import Layout

LABEL = "BOOTPILOT"
TIMEOUT_S = 120.0
# The largest geometry that the fields of a FAT boot sector hold; only very old BIOSes look at it.
HEADS, SECTORS_PER_TRACK = 255, 63
# Every file has this time: 2023-11-14 22:13:20 UTC. A card is told by what is on it, not by when it was made.
FILE_TIME_S = 1_700_000_000
ENVIRONMENT = {
    "SOURCE_DATE_EPOCH": str(FILE_TIME_S),
    "TZ": "UTC",
    "MTOOLSRC": "/dev/null",
    # mtools refuses file systems whose size is no multiple of the geometry above, which no system looks at any more.
    "MTOOLS_SKIP_CHECK": "1",
}


@dataclass(frozen=True)
class CardFile:
    """One file of the FAT partition: its path there, and its content as bytes or as a file to copy."""

    path: str
    content: bytes | Path

    def size_bytes(self) -> int:
        return self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)

    def sha256(self) -> str:
        if isinstance(self.content, bytes):
            return hashlib.sha256(self.content).hexdigest()
        with self.content.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def mformat_argv(image: Path, layout: Layout) -> list[str]:
    """The command that makes the empty file system."""
    start, total = layout.partition.start // SECTOR_BYTES, layout.partition.size // SECTOR_BYTES
    return [
        *["mformat", "-i", _drive(image, layout), "-F", "-v", LABEL, "-N", f"{layout.disk_id:08x}"],
        *["-T", str(total), "-H", str(start), "-h", str(HEADS), "-s", str(SECTORS_PER_TRACK), "::"],
    ]


def write_fat(image: Path, layout: Layout, files: tuple[CardFile, ...]) -> None:
    """Make the file system and copy the files in, in their order: some boot ROMs want theirs first. Raises CommandError."""
    run(mformat_argv(image, layout), timeout_s=TIMEOUT_S, extra=ENVIRONMENT)
    made: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="bootpilot-fat-") as scratch:
        for file in files:
            for folder in _folders(file.path):
                if folder not in made:
                    run(["mmd", "-i", _drive(image, layout), f"::{folder}"], timeout_s=TIMEOUT_S, extra=ENVIRONMENT)
                    made.add(folder)
            source = file.content if isinstance(file.content, Path) else Path(scratch) / "file"
            if isinstance(file.content, bytes):
                source.write_bytes(file.content)
            argv = ["mcopy", "-i", _drive(image, layout), str(source), f"::{file.path}"]
            run(argv, timeout_s=TIMEOUT_S, extra=ENVIRONMENT)


def read_fat_file(image: Path, layout: Layout, path: str) -> bytes:
    """One file as it stands in the file system. Raises CommandError."""
    with tempfile.TemporaryDirectory(prefix="bootpilot-fat-") as scratch:
        target = Path(scratch) / "file"
        run(["mcopy", "-i", _drive(image, layout), f"::{path}", str(target)], timeout_s=TIMEOUT_S, extra=ENVIRONMENT)
        return target.read_bytes()


def list_fat_root(image: Path, layout: Layout) -> list[str]:
    """Names of the files and folders in the root. Raises CommandError."""
    listing = run(["mdir", "-i", _drive(image, layout), "-b", "::"], timeout_s=TIMEOUT_S, extra=ENVIRONMENT).stdout
    return [line.removeprefix("::/").rstrip("/") for line in listing.splitlines() if line]


def read_fat_sha256(image: Path, layout: Layout, path: str) -> str:
    """SHA-256 of one file as it stands in the file system. Raises CommandError."""
    return hashlib.sha256(read_fat_file(image, layout, path)).hexdigest()


def _folders(path: str) -> list[str]:
    """The folders above a path, outermost first."""
    return [str(parent) for parent in reversed(PurePosixPath(path).parents) if str(parent) != "."]


def _drive(image: Path, layout: Layout) -> str:
    return f"{image}@@{layout.partition.start}"
