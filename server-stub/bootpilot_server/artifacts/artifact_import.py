"""`bootpilot artifact add FILE`: into the store, and the lines that a profile needs to name it.

Kernels are stored as kexec takes them: what wraps one is taken off here, once, and not on each board.
"""

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from sqlalchemy import select

from bootpilot_server.artifacts.artifact_facts import ArtifactFacts, facts_of_artifact
from bootpilot_server.artifacts.compression import FAULTS, unpacked_stream
from bootpilot_server.artifacts.kernel_forms import PEEK_BYTES, Unwrapped, is_wrapped, unwrap
from bootpilot_server.errors import OperatorError
from bootpilot_server.server import Server
from bootpilot_server.store import schema
from bootpilot_server.store.dialect import insert_or_update

CHUNK_BYTES = 1 << 20
# What is unwrapped stands in memory meanwhile.
MAX_WRAPPED_BYTES = 1 << 30
TABLES = {
    "kernel": "[kernel]",
    "initrd": "[[initrd]]",
    "dtb": "[dtb]",
    "overlay": "[[dtb.overlay]]",
    "image": "[install.image]",
    "block_map": "[install.image.block_map]",
}


@dataclass(frozen=True)
class Imported:
    """One artifact as a person knows it. `unpacked_bytes` is 0 where it is neither initrd nor image, or cannot be told."""

    sha256: str
    size_bytes: int
    name: str
    facts: ArtifactFacts
    unpacked_bytes: int

    @property
    def kernel_arch(self) -> str:
        return self.facts.arch

    def to_toml(self) -> str:
        """The lines to paste into a profile."""
        lines = [
            TABLES[self.facts.role],
            f'sha256 = "{self.sha256}"',
            f"size = {self.size_bytes}",
            f"name = {_quoted(self.name)}",
        ]
        if self.facts.image:
            lines.append(f'kind = "{self.facts.image}"')
        if self.facts.role == "dtb":
            lines.append('policy = "file+fixups"')
        if self.unpacked_bytes:
            lines.append(f"unpacked_size = {self.unpacked_bytes}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Import:
    """What one file came to: `parts` are artifacts, `forms` what was taken off around them, the outermost first."""

    parts: tuple[Imported, ...]
    forms: tuple[str, ...] = ()
    command_line: str = ""

    def to_toml(self) -> str:
        line = [f"command_line = {_quoted(self.command_line)}"] if self.command_line else []
        return "\n".join([*line, *(part.to_toml() for part in self.parts)])


def import_file(server: Server, path: Path, name: str) -> Import:
    """Raises OperatorError if the file cannot be read or what it wraps cannot be had, HomeError if it cannot be stored."""
    try:
        with path.open("rb") as file:
            head = file.read(PEEK_BYTES)
            if not is_wrapped(head):
                return Import((import_artifact(server, path, name),))
            data = head + file.read(MAX_WRAPPED_BYTES + 1 - len(head))
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from error
    if len(data) > MAX_WRAPPED_BYTES:
        raise OperatorError(f"{path}: larger than {MAX_WRAPPED_BYTES >> 20} MiB", "take it apart first; or --as-is")
    inside = unwrap(data, str(path))
    parts = tuple(_store(server, io.BytesIO(content), each) for each, content in _contents(inside, name))
    return Import(parts, inside.forms, inside.command_line)


def import_artifact(server: Server, path: Path, name: str) -> Imported:
    """The file as it is. Raises OperatorError if it cannot be read, HomeError if it cannot be stored."""
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise OperatorError(f"{path}: is empty", "an artifact has at least one byte")
            file.seek(0)
            return _store(server, file, name)
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from error


def list_artifacts(server: Server) -> Sequence[tuple[str, int, str]]:
    """Digest, size and name of everything in the store; files made for plans have no name."""
    with server.database.reading() as connection:
        names = {row.sha256: row.name for row in connection.execute(select(schema.artifacts))}
    stored = server.artifacts.describe(server.artifacts.digests())
    return [(sha256, stored[sha256].size_bytes, names.get(sha256, "")) for sha256 in sorted(stored)]


def _contents(inside: Unwrapped, name: str) -> list[tuple[str, bytes]]:
    """What to store under which name: the file's own where it is one thing only."""
    found = [("linux", inside.kernel)] if inside.kernel else []
    found += [(f"initrd{index or ''}", content) for index, content in enumerate(inside.initrds)]
    found += [("dtb", inside.dtb)] if inside.dtb else []
    return [(name if len(found) == 1 else f"{name}.{part}", content) for part, content in found]


def _store(server: Server, file: BinaryIO, name: str) -> Imported:
    sha256, size = server.artifacts.add(file)
    named = {"name": name, "added_at": time.time()}
    with server.database.writing() as connection:
        if not server.artifacts.has(sha256):
            # It was there before and unneeded, and somebody pruned it between the last line and this one.
            file.seek(0)
            server.artifacts.add(file)
        insert_or_update(connection, schema.artifacts, {"sha256": sha256, **named}, named)
    facts = facts_of_artifact(server.artifacts, sha256)
    unpacked = 0
    if facts.role in ("initrd", "image"):
        with server.artifacts.open(sha256) as stored:
            unpacked = _unpacked_bytes(stored, size, size if facts.image else 0)
    return Imported(sha256, size, name, facts, unpacked)


def _unpacked_bytes(file: BinaryIO, size: int, unpacked_as_is: int) -> int:
    """What this initrd takes in memory, or this image on a disk, once it is unpacked; 0 if that cannot be told.

    `unpacked_as_is` is what a file counts that is packed in no way.
    """
    head = file.read(6)
    if head.startswith((b"070701", b"070702")):
        return size
    file.seek(0)
    try:
        with unpacked_stream(file, head) as stream:
            return _count(stream) if stream else unpacked_as_is
    except (*FAULTS, OperatorError):
        return 0


def _count(stream: IO[bytes]) -> int:
    total = 0
    while chunk := stream.read(CHUNK_BYTES):
        total += len(chunk)
    return total


def _quoted(text: str) -> str:
    """A TOML basic string."""
    return '"' + "".join(char if char.isprintable() and char not in '"\\' else f"\\U{ord(char):08X}" for char in text) + '"'
