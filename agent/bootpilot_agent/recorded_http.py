"""One exchange over HTTP, as a recording holds it. No I/O here.

Only what the protocol itself says is kept word for word; files are known by their size and digest. Which bodies those are is
one table: a body that no row names is never kept, so a file with a secret in it cannot get in by mistake.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from bootpilot_agent.fields import FieldError, Fields, Json
from bootpilot_agent.recording_lines import MAX_MS, content_of, content_to_json, texts_by_name

MAX_BODY_BYTES = 64 * 1024
MAX_PROBLEM_BYTES = 4 * 1024
# Marks of how far an answer was; a download of an hour gets no more than one of a second.
MAX_MARKS = 64
MAX_SIZE = 1 << 50


@dataclass(frozen=True)
class KeptBody:
    """Requests whose own body, and that of their answer, are kept."""

    method: str
    path: str
    reason: str


KEPT_BODIES = (
    KeptBody("GET", r".*/v1/", "by this answer an agent tells a boot server from a captive portal"),
    KeptBody("POST", r".*/v1/boot", "the report and the plan: all that is decided follows from them"),
    KeptBody("POST", r".*/v1/boots/[^/]+/(events|done|failed)", "what the server was told, and in which order"),
)


@dataclass(frozen=True)
class Body:
    """What went one way. `content` is None where it is not kept; `sha256` is "" where nobody had to know it."""

    size_bytes: int = 0
    content: bytes | None = b""
    sha256: str = ""

    def to_json(self, name: str) -> dict[str, Json]:
        if self.content is not None:
            return content_to_json(self.content, name, f"{name}_b64")
        return {f"{name}_size": self.size_bytes, **({f"{name}_sha256": self.sha256} if self.sha256 else {})}

    @classmethod
    def from_fields(cls, fields: Fields, name: str) -> "Body":
        if fields.has(f"{name}_size"):
            digest = fields.text(f"{name}_sha256", pattern="[0-9a-f]{64}") if fields.has(f"{name}_sha256") else ""
            return cls(fields.number(f"{name}_size", most=MAX_SIZE), None, digest)
        if not fields.has(name) and not fields.has(f"{name}_b64"):
            return cls()
        content = content_of(fields, name, f"{name}_b64")
        return cls(len(content), content)


@dataclass(frozen=True)
class HttpLine:
    """`connection` numbers the agent's connections; `status` is None where no answer came, and `error` then says why.

    `marks`: (milliseconds since the request, bytes of the body by then); `ms`: how long it took in all.
    An answer's digest is that of the file which this answer made whole, also where an earlier one had brought its beginning.
    """

    kind: ClassVar[str] = "http"
    connection: int
    interface: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: Body
    status: int | None
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    answer: Body = field(default_factory=Body)
    error: str = ""
    marks: tuple[tuple[int, int], ...] = ()
    ms: int = 0

    def to_json(self) -> dict[str, Json]:
        return {
            "connection": self.connection,
            "interface": self.interface,
            "method": self.method,
            "url": self.url,
            "headers": dict(self.headers),
            **self.body.to_json("body"),
            "status": self.status,
            "answer_headers": dict(self.answer_headers),
            **self.answer.to_json("answer"),
            "error": self.error,
            "at": [[at_ms, size] for at_ms, size in self.marks],
            "ms": self.ms,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> "HttpLine":
        return cls(
            connection=fields.number("connection", most=2**31),
            interface=fields.text("interface", most=256),
            method=fields.text("method", most=32),
            url=fields.text("url", most=8192),
            headers=texts_by_name(fields, "headers"),
            body=Body.from_fields(fields, "body"),
            status=fields.number_or_none("status", least=100, most=999),
            answer_headers=texts_by_name(fields, "answer_headers"),
            answer=Body.from_fields(fields, "answer"),
            error=fields.text("error", most=1 << 16),
            marks=_marks(fields),
            ms=fields.number("ms", most=MAX_MS),
        )


def keeps_body(method: str, url: str) -> bool:
    """Does the table name this request? The query does not count."""
    path = re.sub(r"[?#].*", "", url, flags=re.DOTALL)
    return any(row.method == method and re.fullmatch(row.path, path) for row in KEPT_BODIES)


def keeps_answer(method: str, url: str, status: int, headers: Mapping[str, str]) -> int:
    """How many bytes of this answer may be kept; 0: none of them."""
    if keeps_body(method, url):
        return MAX_BODY_BYTES
    # An error is no file, and what the server says of it is what a person looks for first.
    is_problem = headers.get("content-type", "").partition(";")[0].strip().lower() == "application/problem+json"
    return MAX_PROBLEM_BYTES if status >= 400 and is_problem else 0


def _marks(fields: Fields) -> tuple[tuple[int, int], ...]:
    raw = fields.raw.get("at")
    if not isinstance(raw, list) or len(raw) > MAX_MARKS:
        raise FieldError(fields.name_of("at"), f"at most {MAX_MARKS} pairs", raw)
    return tuple(_mark(f"{fields.name_of('at')}[{index}]", pair) for index, pair in enumerate(raw))


def _mark(name: str, pair: Json) -> tuple[int, int]:
    match pair:
        case [int(at_ms), int(size)] if 0 <= at_ms <= MAX_MS and 0 <= size <= MAX_SIZE:
            return int(at_ms), int(size)
    raise FieldError(name, "milliseconds and bytes", pair)
