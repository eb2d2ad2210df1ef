"""Reads cards as boot ROMs and firmware do, byte by byte and apart from the builder's own code."""

import struct
import subprocess
from pathlib import Path

MIB = 1 << 20


def output_of(*argv: str | Path) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout


class Fat32:
    """The FAT32 at `offset` of an image, read by its specification."""

    def __init__(self, image: Path, offset: int) -> None:
        self.raw = image.read_bytes()[offset:]
        self.sector, self.cluster_sectors, reserved, fats = struct.unpack_from("<HBHB", self.raw, 11)
        self.hidden, self.sectors, fat_sectors = struct.unpack_from("<3I", self.raw, 28)
        (self.root,) = struct.unpack_from("<I", self.raw, 44)
        self.fat = struct.unpack_from(f"<{fat_sectors * self.sector // 4}I", self.raw, reserved * self.sector)
        self.data = (reserved + fats * fat_sectors) * self.sector

    def clusters(self, first: int) -> list[int]:
        chain = []
        while first < 0x0FFFFFF8:
            chain.append(first)
            first = self.fat[first] & 0x0FFFFFFF
        return chain

    def content(self, first: int) -> bytes:
        size = self.cluster_sectors * self.sector
        places = [self.data + (cluster - 2) * size for cluster in self.clusters(first)]
        return b"".join(self.raw[place : place + size] for place in places)

    def root_files(self) -> list[tuple[str, int, int]]:
        """Short name, first cluster and size of the root's files, in the entries' order; no label, no long names."""
        entries = []
        raw = self.content(self.root)
        for place in range(0, len(raw), 32):
            entry = raw[place : place + 32]
            if entry[0] in (0, 0xE5) or entry[11] & 0x08:
                continue
            name = entry[:8].decode().strip() + ("." + entry[8:11].decode().strip() if entry[8:11].strip() else "")
            high, low, size = struct.unpack("<20xH4xHI", entry)
            entries.append((name, high << 16 | low, size))
        return entries
