"""Writes the `newc` cpio format that the kernel unpacks as initramfs. No I/O but onto the stream it is given.

Entries come out in the order given, with owner root, a fixed time and inode numbers counted from 1, so that the same
entries give the same bytes. Format: Documentation/driver-api/early-userspace/buffer-format.rst.
"""

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Entry:
    """One name in the archive, without a leading slash. `content` is bytes or a file to stream; `mode` has the type bits."""

    name: str
    mode: int
    content: bytes | Path = b""
    device: tuple[int, int] = (0, 0)


def directory(name: str, mode: int = 0o755) -> Entry:
    return Entry(name, stat.S_IFDIR | mode)


def regular(name: str, content: bytes | Path, mode: int = 0o644) -> Entry:
    return Entry(name, stat.S_IFREG | mode, content)


def symlink(name: str, target: str) -> Entry:
    return Entry(name, stat.S_IFLNK | 0o777, target.encode())


def character_device(name: str, major: int, minor: int, mode: int = 0o600) -> Entry:
    return Entry(name, stat.S_IFCHR | mode, b"", (major, minor))


def write_cpio(entries: Iterable[Entry], stream: BinaryIO, time_s: int = 0) -> int:
    """Write the archive with its trailer, padded to 4 bytes; returns the bytes written."""
    written = 0
    inode = 0
    for inode, entry in enumerate(entries, start=1):
        written += _write_entry(entry, inode, time_s, stream)
    return written + _write_entry(Entry("TRAILER!!!", 0), inode + 1, 0, stream)


def _write_entry(entry: Entry, inode: int, time_s: int, stream: BinaryIO) -> int:
    size = entry.content.stat().st_size if isinstance(entry.content, Path) else len(entry.content)
    name = entry.name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    numbers = (inode, entry.mode, 0, 0, links, time_s, size, 0, 0, *entry.device, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % number for number in numbers) + name
    header += _padding(len(header))
    stream.write(header)
    _copy(entry.content, size, stream)
    stream.write(_padding(size))
    return len(header) + size + len(_padding(size))


def _copy(content: bytes | Path, size: int, stream: BinaryIO) -> None:
    if isinstance(content, bytes):
        stream.write(content)
        return
    copied = 0
    with content.open("rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            stream.write(chunk)
            copied += len(chunk)
    if copied != size:
        raise OSError(f"{content}: size changed from {size} to {copied} bytes while it was archived")


def _padding(length: int) -> bytes:
    return b"\0" * (-length % 4)
