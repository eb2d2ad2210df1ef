"""For which kernels an initrd holds modules: the folders below lib/modules in its cpio archives. Reads only its stream.

Format: Documentation/driver-api/early-userspace/buffer-format.rst. Archives may follow each other, the last ones compressed.
"""

import re
from typing import IO, BinaryIO

from bootpilot_server.artifacts.compression import FAULTS, compression_of, unpacked_stream
from bootpilot_server.errors import OperatorError

MAGICS = (b"070701", b"070702")
HEADER_BYTES = 110
TRAILER = b"TRAILER!!!"
MAX_NAME_BYTES = 4096
MODULES = re.compile(rb"(?:\./)?/?(?:usr/)?lib/modules/([0-9][^/\x00]{0,63})(?:/|$)")
SKIP_BYTES = 1 << 20


def module_versions(file: BinaryIO) -> tuple[str, ...]:
    """The kernels' releases, in order; what cannot be read, or is no initrd, holds none."""
    found: set[bytes] = set()
    try:
        while head := _next_archive(file):
            if head.startswith(MAGICS):
                _read_archive(file, head, found)
                continue
            if compression_of(head):
                file.seek(-len(head), 1)
                with unpacked_stream(file, head) as stream:
                    while stream is not None and (inner := _next_archive(stream)) and inner.startswith(MAGICS):
                        _read_archive(stream, inner, found)
            break
    except (*FAULTS, OperatorError):
        pass
    return tuple(sorted(version.decode("utf-8", "replace") for version in found))


def _next_archive(stream: IO[bytes]) -> bytes:
    """The first 6 bytes after what pads the archive before, b"" at the end."""
    while piece := stream.read(4):
        if piece.strip(b"\0"):
            return piece + stream.read(2)
    return b""


def _read_archive(stream: IO[bytes], magic: bytes, found: set[bytes]) -> None:
    """Up to its trailer. Raises ValueError for what is no archive."""
    while True:
        header = magic + _exactly(stream, HEADER_BYTES - len(magic))
        if not header.startswith(MAGICS):
            raise ValueError("no cpio header")
        size, name_size = int(header[54:62], 16), int(header[94:102], 16)
        if name_size > MAX_NAME_BYTES:
            raise ValueError("a name without end")
        name = _exactly(stream, name_size + -(HEADER_BYTES + name_size) % 4)[:name_size].rstrip(b"\0")
        _skip(stream, size + -size % 4)
        if name == TRAILER:
            return
        if module := MODULES.match(name):
            found.add(module[1])
        magic = b""


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _skip(stream: IO[bytes], count: int) -> None:
    while count:
        count -= len(_exactly(stream, min(count, SKIP_BYTES)))
