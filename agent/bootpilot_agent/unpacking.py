"""Takes a kernel out of what distributions wrap it in: gzip, xz, zstd, and the EFI zboot image around these.

Owns the libraries for it: zlib is Python's; liblzma and libzstd are there because kmod reads compressed modules with them.
"""

import ctypes
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from bootpilot_agent.errors import LocalBootError

ZSTD, LZMA = LIBRARIES = ("libzstd.so.1", "liblzma.so.5")
CHUNK_BYTES = 1 << 20
# Far more than any kernel: what claims to be larger is no kernel.
MOST_BYTES = 512 << 20
# drivers/firmware/efi/libstub/zboot-header.S: "MZ", "zimg", offset and size of the payload, 8 bytes, how it is compressed
ZBOOT = struct.Struct("<2x2x4sII8x32s")
LZMA_OK, LZMA_STREAM_END, LZMA_RUN, LZMA_FINISH = 0, 1, 0, 3
# <lzma/container.h>: LZMA_CONCATENATED is not wanted, one stream is one kernel.
LZMA_MEMORY_BYTES = 128 << 20


def unpack_kernel(path: Path) -> None:
    """Replace the file by the kernel in it; nothing happens to one that is bare. Raises LocalBootError."""
    with path.open("rb") as file:
        head = file.read(ZBOOT.size)
        span = _zboot_span(head, path.stat().st_size)
        offset, size = span or (0, path.stat().st_size)
        file.seek(offset)
        start = file.read(max(map(len, UNPACKERS)))
        file.seek(offset)
        unpack = next((row for magic, row in UNPACKERS.items() if start.startswith(magic)), None)
        if unpack is None:
            if span is not None:
                _replace(path, _limited(_chunks(file, size)))
            return
        _replace(path, _limited(unpack(_chunks(file, size))))


def _zboot_span(head: bytes, file_bytes: int) -> tuple[int, int] | None:
    """Where the payload lies in an EFI zboot image; None for any other file."""
    if len(head) < ZBOOT.size or head[4:8] != b"zimg":
        return None
    _, offset, size, _ = ZBOOT.unpack(head)
    if not size or offset + size > file_bytes:
        raise LocalBootError(f"kernel: an EFI zboot image whose payload ends at {offset + size}, the file at {file_bytes}")
    return offset, size


def _chunks(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (chunk := file.read(min(CHUNK_BYTES, size))):
        size -= len(chunk)
        yield chunk


def _limited(chunks: Iterator[bytes]) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > MOST_BYTES:
            raise LocalBootError(f"kernel: it unpacks to more than {MOST_BYTES >> 20} MiB")
        yield chunk


def _replace(path: Path, chunks: Iterator[bytes]) -> None:
    unpacked = path.with_name(path.name + ".unpacked")
    try:
        with unpacked.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
        unpacked.replace(path)
    finally:
        unpacked.unlink(missing_ok=True)


def _gunzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        for chunk in chunks:
            waiting = chunk
            while waiting and not unpacker.eof:
                yield unpacker.decompress(waiting, CHUNK_BYTES)
                waiting = unpacker.unconsumed_tail
            if unpacker.eof:
                return
    except zlib.error as error:
        raise LocalBootError(f"kernel: damaged gzip file: {error}") from error
    raise LocalBootError("kernel: the gzip file is cut off")


class _Buffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer (zstd.h)."""

    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("position", ctypes.c_size_t))


def _unzstd(chunks: Iterator[bytes]) -> Iterator[bytes]:
    library = open_library(ZSTD)
    library.ZSTD_createDStream.restype = ctypes.c_void_p
    library.ZSTD_decompressStream.restype = ctypes.c_size_t
    library.ZSTD_getErrorName.restype = ctypes.c_char_p
    stream = ctypes.c_void_p(library.ZSTD_createDStream())
    room = ctypes.create_string_buffer(CHUNK_BYTES)
    try:
        for chunk in chunks:
            source = _Buffer(_address(chunk), len(chunk), 0)
            target = _Buffer(ctypes.addressof(room), CHUNK_BYTES, CHUNK_BYTES)
            while source.position < source.size or target.position == CHUNK_BYTES:
                target.position = 0
                left = library.ZSTD_decompressStream(stream, ctypes.byref(target), ctypes.byref(source))
                if library.ZSTD_isError(ctypes.c_size_t(left)):
                    why = library.ZSTD_getErrorName(ctypes.c_size_t(left)).decode()
                    raise LocalBootError(f"kernel: damaged zstd file: {why}")
                yield room.raw[: target.position]
                if left == 0:
                    return
    finally:
        library.ZSTD_freeDStream(stream)
    raise LocalBootError("kernel: the zstd file is cut off")


class _LzmaStream(ctypes.Structure):
    """lzma_stream (lzma/base.h)."""

    _fields_ = (
        ("next_in", ctypes.c_void_p),
        ("avail_in", ctypes.c_size_t),
        ("total_in", ctypes.c_uint64),
        ("next_out", ctypes.c_void_p),
        ("avail_out", ctypes.c_size_t),
        ("total_out", ctypes.c_uint64),
        ("allocator", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
        ("reserved_pointers", ctypes.c_void_p * 4),
        ("reserved_numbers", ctypes.c_uint64 * 2),
        ("reserved_sizes", ctypes.c_size_t * 2),
        ("reserved_enums", ctypes.c_int * 2),
    )


def _unxz(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """xz, and the older lzma that a zboot image may have."""
    library = open_library(LZMA)
    stream = _LzmaStream()
    library.lzma_auto_decoder(ctypes.byref(stream), ctypes.c_uint64(LZMA_MEMORY_BYTES), ctypes.c_uint32(0))
    room = ctypes.create_string_buffer(CHUNK_BYTES)
    try:
        for chunk in chunks:
            stream.next_in, stream.avail_in = _address(chunk), len(chunk)
            filled = CHUNK_BYTES
            while stream.avail_in or filled == CHUNK_BYTES:
                stream.next_out, stream.avail_out = ctypes.addressof(room), CHUNK_BYTES
                code = library.lzma_code(ctypes.byref(stream), LZMA_RUN)
                filled = CHUNK_BYTES - stream.avail_out
                if code not in (LZMA_OK, LZMA_STREAM_END):
                    raise LocalBootError(f"kernel: damaged xz or lzma file (lzma_ret {code})")
                yield room.raw[:filled]
                if code == LZMA_STREAM_END:
                    return
    finally:
        library.lzma_end(ctypes.byref(stream))
    raise LocalBootError("kernel: the xz or lzma file is cut off")


def _address(chunk: bytes) -> int | None:
    """Where the bytes stand; they do as long as the caller holds them."""
    return ctypes.cast(ctypes.c_char_p(chunk), ctypes.c_void_p).value


def open_library(soname: str) -> ctypes.CDLL:
    """Raises LocalBootError where this loader has none."""
    try:
        return ctypes.CDLL(soname)
    except OSError as error:
        raise LocalBootError(f"kernel: it is packed in a way that needs {soname}, which this loader lacks: {error}") from error


UNPACKERS: dict[bytes, Callable[[Iterator[bytes]], Iterator[bytes]]] = {
    b"\x1f\x8b": _gunzip,
    b"\xfd7zXZ\0": _unxz,
    b"\x5d\0\0": _unxz,
    b"\x28\xb5\x2f\xfd": _unzstd,
}
