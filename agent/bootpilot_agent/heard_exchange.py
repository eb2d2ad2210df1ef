"""One exchange over HTTP while it goes on. No I/O here. Holds at most one small body, and marks of how far a large one was.

Whether a body is kept is decided later, by recorded_http.py's table; one that is larger than any that may be is not held.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bootpilot_agent.errors import AgentError
from bootpilot_agent.taps import Exchange, Request

MAX_BODY_BYTES = 64 * 1024
# A download of an hour gets no more marks than one of a second.
MAX_MARKS = 64
# Between two marks at first; twice as long whenever there are too many.
FIRST_MARK_MS = 100
MAX_ERROR = 1000


@dataclass(frozen=True)
class HeardAnswer:
    """What came back, if anything: `content` is None where it was too much to hold."""

    status: int | None
    headers: Mapping[str, str]
    content: bytes | None
    size_bytes: int
    sha256: str
    error: str
    marks: tuple[tuple[int, int], ...]
    ms: int


class HeardExchange(Exchange):
    """Used by one thread; tells at its end."""

    def __init__(self, tell: Callable[..., None], clock_ms: Callable[[], int], request: Request) -> None:
        self._tell = tell
        self._clock_ms = clock_ms
        self._request = request
        self._started_ms = clock_ms()
        self._status: int | None = None
        self._headers: Mapping[str, str] = {}
        self._content: bytearray | None = bytearray()
        self._size_bytes = 0
        self._sha256 = ""
        self._marks: list[tuple[int, int]] = []
        self._every_ms = FIRST_MARK_MS

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        self._status = status
        self._headers = dict(headers)
        self._marks.append((self._since_ms(), 0))

    def took(self, chunk: bytes) -> None:
        self._size_bytes += len(chunk)
        if self._content is not None:
            self._content = None if self._size_bytes > MAX_BODY_BYTES else self._content + chunk
        since_ms = self._since_ms()
        if since_ms - self._marks[-1][0] >= self._every_ms:
            self._marks.append((since_ms, self._size_bytes))
        if len(self._marks) >= MAX_MARKS - 1:
            del self._marks[1::2]
            self._every_ms *= 2

    def made_whole(self, sha256: str) -> None:
        self._sha256 = sha256

    def done(self, error: BaseException | None) -> None:
        ms = self._since_ms()
        if self._size_bytes and self._marks[-1][1] != self._size_bytes:
            self._marks.append((ms, self._size_bytes))
        answer = HeardAnswer(
            status=self._status,
            headers=self._headers,
            content=None if self._content is None else bytes(self._content),
            size_bytes=self._size_bytes,
            sha256=self._sha256,
            error=_reason(error)[:MAX_ERROR] if error else "",
            marks=tuple(self._marks),
            ms=ms,
        )
        size_bytes = len(self._request.body) + len(answer.content or b"")
        self._tell("exchanged", self._request, answer, size_bytes=size_bytes, t_ms=self._started_ms)

    def _since_ms(self) -> int:
        return self._clock_ms() - self._started_ms


def _reason(error: BaseException) -> str:
    return error.message if isinstance(error, AgentError) else str(error) or type(error).__name__
