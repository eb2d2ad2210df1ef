"""What compressed data of kernels and initrds unpacks to, told by its first bytes and never by a name.

Only what the kernel's own unpackers know counts (lib/decompress.c); of those LZ4 and LZO are named and not unpacked.
"""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO

from bootpilot_server.artifacts import zstd_program
from bootpilot_server.errors import OperatorError

ZSTD = b"\x28\xb5\x2f\xfd"
OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"\x5d\x00\x00": lzma.open,
    b"BZh": bz2.open,
}
NAMES = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\x00": "xz", b"\x5d\x00\x00": "lzma", b"BZh": "bzip2", ZSTD: "zstd"}
MACHINES: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(31),
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ),
    "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE),
    "bzip2": bz2.BZ2Decompressor,
}
# LZ4's legacy frames, which kernels use, and LZO.
UNKNOWN = {b"\x02\x21\x4c\x18": "lz4", b"\x89LZO": "lzo"}
FAULTS = (OSError, EOFError, lzma.LZMAError, zlib.error, ValueError)
# A kernel of 2026 has some 50 MiB; what unpacks to more is no kernel.
MAX_KERNEL_BYTES = 512 << 20


def compression_of(head: bytes) -> str:
    """gzip, xz, lzma, bzip2, zstd, lz4 or lzo; "" for anything else."""
    return next((name for magic, name in {**NAMES, **UNKNOWN}.items() if head.startswith(magic)), "")


def unpack(data: bytes, what: str, limit_bytes: int = MAX_KERNEL_BYTES) -> bytes:
    """All that this unpacks to. Raises OperatorError for what is damaged, too large, or of a kind that is not unpacked here."""
    kind = compression_of(data)
    if kind in UNKNOWN.values():
        raise OperatorError(f"{what}: {kind} is not unpacked here", "unpack it first; or --as-is")
    try:
        if kind == "zstd":
            unpacked, is_whole = zstd_program.unpack(data, limit_bytes + 1)
        else:
            machine = MACHINES[kind]()
            unpacked = machine.decompress(data, limit_bytes + 1)
            is_whole = machine.eof
    except FAULTS as error:
        raise OperatorError(f"{what}: cannot be unpacked ({kind}): {error}", "is the file whole?") from error
    if len(unpacked) > limit_bytes:
        raise OperatorError(f"{what}: unpacks to more than {limit_bytes >> 20} MiB")
    if not is_whole:
        raise OperatorError(f"{what}: its {kind} data break off after {len(unpacked)} bytes", "fetch the file again")
    return unpacked


def beginning_of(data: bytes, limit_bytes: int) -> bytes:
    """What can be unpacked of a piece that may be followed by anything, up to so many bytes. Raises one of FAULTS."""
    kind = compression_of(data)
    if kind == "zstd":
        return zstd_program.unpack(data, limit_bytes)[0]
    return MACHINES[kind]().decompress(data, limit_bytes) if kind in MACHINES else b""


@contextmanager
def unpacked_stream(file: BinaryIO, head: bytes) -> Iterator[IO[bytes] | None]:
    """What unpacks from a file whose present place begins with `head`, as a stream; None for what cannot be unpacked here."""
    opener = next((opener for magic, opener in OPENERS.items() if head.startswith(magic)), None)
    if opener is not None:
        with opener(file) as stream:
            yield stream
    elif head.startswith(ZSTD):
        with zstd_program.unpacked_stream(file) as stream:
            yield stream
    else:
        yield None
