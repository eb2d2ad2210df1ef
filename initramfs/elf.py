"""Reads ELF files: which libraries a program needs, and the sections of a kernel module. Little-endian, 32 and 64 bits.

`read_elf` is pure; `needed_libraries` looks into folders of an unpacked root and nowhere else. Format: System V ABI,
chapters 4 and 5 (gABI 4.1).
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from initramfs.errors import BuildError

MAGIC = b"\x7fELF"
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB = 1, 5


@dataclass(frozen=True)
class Elf:
    """What a dynamic loader would look at. `interpreter` is "" in libraries."""

    bits: int
    machine: int
    needed: tuple[str, ...]
    interpreter: str


def read_elf(content: bytes) -> Elf:
    """The dynamic part of a program or library.

    Raises:
        BuildError: not a little-endian ELF file, or cut off.
    """
    try:
        return _Reader(content).elf()
    except (struct.error, IndexError) as error:
        raise BuildError(f"a damaged ELF file: {error}") from error


def is_elf(path: Path) -> bool:
    """True for a regular file that starts like ELF."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def read_section(content: bytes, name: str) -> bytes:
    """The content of a named section, empty if there is none; a kernel module's facts are in `.modinfo`."""
    reader = _Reader(content)
    return reader.section(name.encode())


def needed_libraries(programs: Iterable[Path], folders: Iterable[Path]) -> dict[str, Path]:
    """Soname -> file for all that `programs` need, directly or not, found in `folders` (the first that has it wins).

    Raises:
        BuildError: a library is in none of the folders.
    """
    places = tuple(folders)
    found: dict[str, Path] = {}
    waiting = [(program, soname) for program in programs for soname in read_elf(program.read_bytes()).needed]
    while waiting:
        wanting, soname = waiting.pop()
        if soname in found:
            continue
        library = next((place / soname for place in places if (place / soname).exists()), None)
        if library is None:
            raise BuildError(f"{wanting.name} needs {soname}, which is in none of {', '.join(map(str, places))}")
        found[soname] = library
        waiting += [(library, name) for name in read_elf(library.read_bytes()).needed]
    return dict(sorted(found.items()))


class _Reader:
    def __init__(self, content: bytes) -> None:
        if content[:4] != MAGIC or content[5] != 1:
            raise BuildError("not a little-endian ELF file")
        self._content = content
        self._wide = content[4] == 2

    def elf(self) -> Elf:
        (machine,) = struct.unpack_from("<H", self._content, 18)
        segments = self._segments()
        interpreter = next((self._bytes(offset, size) for kind, offset, _, size in segments if kind == _PT_INTERP), b"")
        return Elf(64 if self._wide else 32, machine, self._needed(segments), interpreter.rstrip(b"\0").decode())

    def section(self, name: bytes) -> bytes:
        sections = self._sections()
        (names_index,) = struct.unpack_from("<H", self._content, 62 if self._wide else 50)
        names = self._bytes(*sections[names_index][1:])
        for name_offset, offset, size in sections:
            if names[name_offset : names.index(b"\0", name_offset)] == name:
                return self._bytes(offset, size)
        return b""

    def _segments(self) -> list[tuple[int, int, int, int]]:
        """(type, file offset, virtual address, file size) of every program header."""
        if self._wide:
            (start,), (size, count) = self._unpack("<Q", 32), self._unpack("<HH", 54)
            return [self._pick("<IIQQQQ", start + index * size, (0, 2, 3, 5)) for index in range(count)]
        (start,), (size, count) = self._unpack("<I", 28), self._unpack("<HH", 42)
        return [self._pick("<IIIII", start + index * size, (0, 1, 2, 4)) for index in range(count)]

    def _sections(self) -> list[tuple[int, int, int]]:
        """(offset in the table of names, file offset, size) of every section header."""
        if self._wide:
            (start,), (size, count) = self._unpack("<Q", 40), self._unpack("<HH", 58)
            rows = [self._unpack("<IIQQQQ", start + index * size) for index in range(count)]
        else:
            (start,), (size, count) = self._unpack("<I", 32), self._unpack("<HH", 46)
            rows = [self._unpack("<IIIIII", start + index * size) for index in range(count)]
        return [(row[0], row[4], row[5]) for row in rows]

    def _needed(self, segments: list[tuple[int, int, int, int]]) -> tuple[str, ...]:
        dynamic = next(((offset, size) for kind, offset, _, size in segments if kind == _PT_DYNAMIC), None)
        if dynamic is None:
            return ()
        entries = list(struct.iter_unpack("<qQ" if self._wide else "<iI", self._bytes(*dynamic)))
        strings = next((value for tag, value in entries if tag == _DT_STRTAB), None)
        if strings is None:
            return ()
        base = self._file_offset(segments, strings)
        return tuple(self._string(base + value) for tag, value in entries if tag == _DT_NEEDED)

    def _file_offset(self, segments: list[tuple[int, int, int, int]], address: int) -> int:
        for kind, offset, start, size in segments:
            if kind == _PT_LOAD and start <= address < start + size:
                return offset + address - start
        raise BuildError(f"a damaged ELF file: no segment has the address {address:#x}")

    def _unpack(self, layout: str, offset: int) -> tuple[int, ...]:
        return struct.unpack_from(layout, self._content, offset)

    def _pick(self, layout: str, offset: int, fields: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        values = self._unpack(layout, offset)
        a, b, c, d = fields
        return values[a], values[b], values[c], values[d]

    def _bytes(self, offset: int, size: int) -> bytes:
        if offset + size > len(self._content):
            raise BuildError(f"a damaged ELF file: it ends at {len(self._content)}, before {offset + size}")
        return self._content[offset : offset + size]

    def _string(self, offset: int) -> str:
        return self._content[offset : self._content.index(b"\0", offset)].decode()
