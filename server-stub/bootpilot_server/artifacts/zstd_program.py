"""The program `zstd`, for what Python cannot unpack before 3.14. Touches only the streams that it is given."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO

from bootpilot_server.errors import OperatorError


@contextmanager
def unpacked_stream(file: BinaryIO) -> Iterator[IO[bytes]]:
    """What unpacks from this file's present place on. It need not be read to its end. Raises OperatorError without zstd."""
    with _started(file) as process:
        try:
            if process.stdout is not None:
                yield process.stdout
        finally:
            process.kill()


def unpack(data: bytes, limit_bytes: int) -> tuple[bytes, bool]:
    """At most `limit_bytes` of what unpacks from this, and whether zstd found it whole. Raises OperatorError without zstd."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        file.seek(0)
        with _started(file) as process:
            unpacked = process.stdout.read(limit_bytes) if process.stdout else b""
            if len(unpacked) == limit_bytes:
                process.kill()
            return unpacked, process.wait() == 0


def _started(file: IO[bytes]) -> "subprocess.Popen[bytes]":
    # What Python has read ahead, zstd must read too.
    os.lseek(file.fileno(), file.tell(), os.SEEK_SET)
    try:
        return subprocess.Popen(["zstd", "-dcq"], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError as error:
        raise OperatorError(f"zstd: {error.strerror}", "apt-get install zstd: it is needed to look into this file") from error
