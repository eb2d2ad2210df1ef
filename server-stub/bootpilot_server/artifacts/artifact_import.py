"""`bootpilot artifact add FILE`: into the store, and the lines that a profile needs to name it."""

import bz2
import gzip
import lzma
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import select

from bootpilot_server.artifacts.kernel_header import HEADER_BYTES, kernel_arch, role
from bootpilot_server.errors import OperatorError
from bootpilot_server.server import Server
from bootpilot_server.store import schema
from bootpilot_server.store.dialect import insert_or_update

CHUNK_BYTES = 1 << 20
# What the kernel unpacks as an initramfs (lib/decompress.c) and Python reads too; of others the size must be told.
OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"\x5d\x00\x00": lzma.open,
    b"BZh": bz2.open,
}
TABLES = {"kernel": "[kernel]", "initrd": "[[initrd]]", "dtb": "[dtb]", "overlay": "[[dtb.overlay]]"}


@dataclass(frozen=True)
class Imported:
    """One artifact as a person knows it. `unpacked_bytes` is 0 where it is not an initrd or cannot be told."""

    sha256: str
    size_bytes: int
    name: str
    role: str
    kernel_arch: str
    unpacked_bytes: int

    def to_toml(self) -> str:
        """The lines to paste into a profile."""
        lines = [TABLES[self.role], f'sha256 = "{self.sha256}"', f"size = {self.size_bytes}", f"name = {_quoted(self.name)}"]
        if self.role == "dtb":
            lines.append('policy = "file+fixups"')
        if self.unpacked_bytes:
            lines.append(f"unpacked_size = {self.unpacked_bytes}")
        return "\n".join(lines)


def import_artifact(server: Server, path: Path, name: str) -> Imported:
    """Raises OperatorError if the file cannot be read, HomeError if it cannot be stored."""
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
            if not head:
                raise OperatorError(f"{path}: is empty", "an artifact has at least one byte")
            unpacked = _unpacked_bytes(path) if role(head) == "initrd" else 0
            file.seek(0)
            sha256, size = server.artifacts.add(file)
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from error
    named = {"name": name, "added_at": time.time()}
    with server.database.writing() as connection:
        insert_or_update(connection, schema.artifacts, {"sha256": sha256, **named}, named)
    return Imported(sha256, size, name, role(head), kernel_arch(head), unpacked)


def list_artifacts(server: Server) -> Sequence[tuple[str, int, str]]:
    """Digest, size and name of everything in the store; files made for plans have no name."""
    with server.database.reading() as connection:
        names = {row.sha256: row.name for row in connection.execute(select(schema.artifacts))}
    stored = server.artifacts.describe(server.artifacts.digests())
    return [(sha256, stored[sha256].size_bytes, names.get(sha256, "")) for sha256 in sorted(stored)]


def _unpacked_bytes(path: Path) -> int:
    """How much memory this initrd takes once the kernel unpacked it; 0 if that cannot be told."""
    with path.open("rb") as file:
        head = file.read(6)
    if head.startswith((b"070701", b"070702")):
        return path.stat().st_size
    opener = next((opener for magic, opener in OPENERS.items() if head.startswith(magic)), None)
    if opener is None:
        return 0
    try:
        with opener(path) as stream:
            return _count(stream)
    except (OSError, EOFError, lzma.LZMAError, zlib.error):
        return 0


def _count(stream: BinaryIO) -> int:
    total = 0
    while chunk := stream.read(CHUNK_BYTES):
        total += len(chunk)
    return total


def _quoted(text: str) -> str:
    """A TOML basic string."""
    return '"' + "".join(char if char.isprintable() and char not in '"\\' else f"\\U{ord(char):08X}" for char in text) + '"'
