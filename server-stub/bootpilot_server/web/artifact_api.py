"""GET /artifacts/sha256/<hex>: immutable bytes for boards and for every cache between, by sendfile where it can."""

import io
import os
from collections.abc import Callable
from typing import IO, BinaryIO, cast

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.http import parse_range_header, unquote_etag
from werkzeug.wsgi import wrap_file

from bootpilot_server.errors import ProblemError
from bootpilot_server.web.current import current_server

artifact_api = Blueprint("artifacts", __name__, url_prefix="/artifacts")

# The name is the content, so no answer ever grows old.
CACHE_CONTROL = "public, max-age=31536000, immutable"
BUSY_RETRY_AFTER_S = 3


class Slice(io.RawIOBase):
    """A part of an open file, as a file: ends after `length` bytes. It has a fileno, so a server may use sendfile."""

    def __init__(self, file: BinaryIO, start: int, length: int, on_close: Callable[[], None]) -> None:
        super().__init__()
        self._file = file
        self._left = length
        self._on_close = on_close
        file.seek(start)

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """socket.sendfile works on the descriptor and leaves its place in the whole file behind; so offsets are the file's."""
        return self._file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        # gunicorn and io both close, and the second time must release nothing.
        if not self.closed:
            self._file.close()
            self._on_close()
        super().close()


@artifact_api.get("/sha256/<sha256>")
def artifact(sha256: str) -> Response:
    """GET and HEAD, whole or one range (RFC 9110, 14); several ranges are answered with the whole, as it allows."""
    try:
        file = current_server().artifacts.open(sha256)
    except OSError as error:
        raise ProblemError(404, "there is no such artifact; `bootpilot artifact list` shows what there is") from error
    return send(file, sha256, CACHE_CONTROL)


def send(file: BinaryIO, tag: str, cache_control: str) -> Response:
    """An open file, whole or in part, as the request asks; closed afterwards. `tag` is its ETag: other bytes, another tag."""
    try:
        response = _answer(tag, file, os.fstat(file.fileno()).st_size)
    except Exception:
        file.close()
        raise
    response.mimetype = "application/octet-stream"
    response.set_etag(tag)
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Cache-Control"] = cache_control
    return response


def _answer(tag: str, file: BinaryIO, size: int) -> Response:
    if request.if_none_match.contains_weak(tag):
        file.close()
        return Response(status=304)
    if request.method == "HEAD":
        file.close()
        response = Response()
        response.content_length = size
        return response
    return _stream(file, size, _wanted_range(tag, size))


def _stream(file: BinaryIO, size: int, part: tuple[int, int] | None) -> Response:
    start, stop = part or (0, size)
    downloads = current_server().downloads
    if not downloads.acquire(blocking=False):
        raise ProblemError(503, "too many downloads at once; ask again", retry_after_s=BUSY_RETRY_AFTER_S)
    body = wrap_file(request.environ, cast("IO[bytes]", Slice(file, start, stop - start, downloads.release)), 1 << 16)
    response = Response(body, 206 if part else 200, direct_passthrough=True)
    response.content_length = stop - start
    if part:
        response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return response


def _wanted_range(tag: str, size: int) -> tuple[int, int] | None:
    """[start, stop) of the range asked for, None for the whole file. Raises RequestedRangeNotSatisfiable (416)."""
    condition, is_weak = unquote_etag(request.headers.get("If-Range"))
    if condition not in (None, tag) or is_weak:
        return None
    wanted = parse_range_header(request.headers.get("Range"))
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1:
        return None
    part = wanted.range_for_length(size)
    if part is None:
        raise RequestedRangeNotSatisfiable(size, description=f"the range lies outside the artifact's {size} bytes")
    return part
