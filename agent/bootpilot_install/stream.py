"""The image on its way from the network to the disk: fetched in one thread, unpacked by a program, read in another thread.

Owns the pipes between them, which hold back the network while the disk is busy; nothing is kept in memory. The digest is
that of what was fetched; how much it unpacks to is counted here.
"""

import contextlib
import fcntl
import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

from bootpilot_agent.attention import Worker
from bootpilot_agent.install_order import Compression
from bootpilot_agent.run import Process, describe_status, start_filter
from bootpilot_install.errors import ImageError

# The largest that an unprivileged process may have (/proc/sys/fs/pipe-max-size).
PIPE_BYTES = 1 << 20
CHUNK_BYTES = 1 << 20
# A fetch that waits for a server which is gone is not waited for.
LEAVE_S = 5.0
ENDS_S = 60.0

# xz and zstd of images made with the largest settings need a window of 128 MiB and more. 1 GiB is zstd's largest on 32 bits
# (lib/zstd.h, ZSTD_WINDOWLOG_MAX_32), and asking for more an error there.
FILTERS = {
    Compression.GZIP: ("gzip", "-dc"),
    Compression.XZ: ("xz", "-dc"),
    Compression.ZSTD: ("zstd", "-dcq", "--long=30"),
}

Fetch = Callable[[BinaryIO], None]


class ForwardFile(io.RawIOBase):
    """The near end of a pipe as a file that a download may start over: what went down the pipe is not sent again, and must be
    the same the second time.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0
        self._sent = 0
        self._sent_digest = hashlib.sha256()
        self._again = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Only to its beginning, which is all that a download does."""
        if offset or whence:
            raise io.UnsupportedOperation("a stream goes back to its beginning only")
        self._position, self._again = 0, hashlib.sha256()
        return 0

    def truncate(self, size: int | None = None) -> int:
        return self._position

    # Of all buffers only bytes: that is what its callers write.
    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Raises OSError when the far end is closed, ImageError where a source begins anew with other bytes."""
        repeated = data[: max(0, self._sent - self._position)]
        if repeated:
            self._repeat(repeated)
        fresh = memoryview(data)[len(repeated) :]
        self._sent_digest.update(fresh)
        self._position += len(fresh)
        self._sent += len(fresh)
        while fresh:
            fresh = fresh[os.write(self._descriptor, fresh) :]
        return len(data)

    def _repeat(self, data: bytes) -> None:
        self._again.update(data)
        self._position += len(data)
        if self._position == self._sent and self._again.digest() != self._sent_digest.digest():
            raise ImageError("the server or mirror gave other bytes when the download began anew", "is the file being changed?")


class ImageStream:
    """The unpacked image, read once from beginning to end. Made by `open_stream`."""

    def __init__(self, reader: BinaryIO, unpacked_bytes: int) -> None:
        self._reader = reader
        self._limit = unpacked_bytes
        self.taken = 0
        self.ended = False

    def read(self, size: int) -> bytes:
        """Exactly so many bytes, fewer only at the end. Raises ImageError where there are more than was said."""
        data = self._reader.read(size)
        self.taken += len(data)
        self.ended = len(data) < size
        if self._limit and self.taken > self._limit:
            raise ImageError(
                f"the image unpacks to more than the {self._limit} bytes that the order says",
                "add the image to the server anew, or correct unpacked_size",
            )
        return data

    def drain(self) -> None:
        """To the end, so that the digest of all of it is known. Raises ImageError also for an image that is too short."""
        while self.read(CHUNK_BYTES):
            pass
        if self._limit and self.taken != self._limit:
            raise ImageError(
                f"the image unpacks to {self.taken} bytes, and the order says {self._limit}",
                "add the image to the server anew, or correct unpacked_size",
            )


@contextlib.contextmanager
def open_stream(fetch: Fetch, compression: Compression, unpacked_bytes: int = 0) -> Iterator[ImageStream]:
    """Fetch, unpack and read at the same time. `fetch` writes the whole image and raises where it is not what was ordered.

    After the block it was fetched whole, was right, and was read to its end. Raises FetchError, VerifyError, ImageError.
    """
    with contextlib.ExitStack() as stack:
        complaints = stack.enter_context(tempfile.TemporaryFile())
        fetched, sink = _pipe()
        worker: Worker[None] = Worker(lambda: _feed(fetch, sink))
        try:
            filter_, far = _start_filter(compression, fetched, complaints)
        except BaseException:
            os.close(sink)
            raise
        reader = stack.enter_context(os.fdopen(far, "rb", buffering=CHUNK_BYTES))
        worker.start()
        stream = ImageStream(reader, unpacked_bytes)
        failure: BaseException | None = None
        try:
            yield stream
            stream.drain()
        except BaseException as error:  # whoever reads failed: raised again when all has ended
            failure = error
        finally:
            with contextlib.suppress(OSError):
                reader.close()
        cut_short = failure is not None and not stream.ended
        _finish(worker, filter_, complaints, failure, cut_short)


def _pipe() -> tuple[int, int]:
    near, far = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(OSError):
        fcntl.fcntl(far, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return near, far


def _feed(fetch: Fetch, sink: int) -> None:
    try:
        # What a BinaryIO has, as far as a download uses it.
        fetch(ForwardFile(sink))  # type: ignore[arg-type]
    finally:
        os.close(sink)


def _start_filter(compression: Compression, source: int, complaints: BinaryIO) -> tuple[Process | None, int]:
    if compression is Compression.NONE:
        return None, source
    try:
        unpacked, sink = _pipe()
        try:
            return start_filter(FILTERS[compression], source, sink, complaints.fileno()), unpacked
        except BaseException:
            os.close(unpacked)
            raise
        finally:
            os.close(sink)
    finally:
        os.close(source)


def _finish(
    worker: Worker[None], filter_: Process | None, complaints: BinaryIO, failure: BaseException | None, cut_short: bool
) -> None:
    """Everything ended; raises the failure that came first: a reader's own, then the fetch's, then the filter's.

    A fetch whose pipe broke did not fail by itself: the filter had given up.
    """
    if filter_ is not None and cut_short:
        filter_.kill()
    if cut_short and failure is not None:
        worker.join(LEAVE_S)
        if filter_ is not None:
            filter_.wait()
        raise failure
    worker.join()
    status = filter_.wait(ENDS_S) if filter_ is not None else 0
    if not (status and _is_of_a_broken_pipe(worker.error)):
        worker.outcome()
    if status:
        complaints.seek(0)
        words = complaints.read(2000).decode(errors="replace").strip()
        raise ImageError(f"the image does not unpack: {describe_status(status)}: {words}", "was it packed and uploaded whole?")
    if failure is not None:
        raise failure


def _is_of_a_broken_pipe(error: BaseException | None) -> bool:
    return error is not None and (isinstance(error, BrokenPipeError) or _is_of_a_broken_pipe(error.__cause__))
