"""The exchanges of a recording as HAR 1.2, which browsers' and proxies' tools read. No I/O here.

http://www.softwareishard.com/blog/har-12-spec/: fields that it demands and a recording does not know are empty, or -1 where it
says that -1 is "not known". What the agent knows beside that has names with an underscore, as it asks for.
"""

import base64
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from bootpilot_agent.fields import Json
from bootpilot_agent.recorded_http import Body, HttpLine
from bootpilot_agent.recording import Recording
from bootpilot_server.recordings.clock import BoardClock

UNKNOWN = -1


def to_har(recording: Recording) -> dict[str, Json]:
    """The whole document."""
    clock = BoardClock.of(recording)
    entries: list[Json] = [
        _entry(timed.line, clock.iso(timed.t_ms)) for timed in recording.lines if isinstance(timed.line, HttpLine)
    ]
    header = recording.header
    return {
        "log": {
            "version": "1.2",
            "creator": {"name": "bootpilot-agent", "version": header.agent_version},
            "entries": entries,
            "comment": f"boot {header.boot_id}, build {header.build_id} ({header.arch}); times are the board's own clock",
        }
    }


def _entry(line: HttpLine, started: str) -> dict[str, Json]:
    first_ms = min((at_ms for at_ms, _ in line.marks), default=line.ms)
    return {
        "startedDateTime": started,
        "time": line.ms,
        "request": _request(line),
        "response": _response(line),
        "cache": {},
        "timings": {"send": 0, "wait": min(first_ms, line.ms), "receive": max(0, line.ms - first_ms)},
        "connection": str(line.connection),
        "_interface": line.interface,
        "_error": line.error,
        "_marks": [[at_ms, size] for at_ms, size in line.marks],
    }


def _request(line: HttpLine) -> dict[str, Json]:
    query: list[Json] = [{"name": name, "value": value} for name, value in parse_qsl(_split(line.url), keep_blank_values=True)]
    request: dict[str, Json] = {
        "method": line.method,
        "url": line.url,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _headers(line.headers),
        "queryString": query,
        "headersSize": UNKNOWN,
        "bodySize": line.body.size_bytes,
    }
    if line.body.size_bytes:
        kind = _value(line.headers, "content-type")
        request["postData"] = {"mimeType": kind, "params": [], "text": (line.body.content or b"").decode("utf-8", "replace")}
    return request


def _response(line: HttpLine) -> dict[str, Json]:
    """Status 0 stands for no answer, as in Chrome's own files."""
    return {
        "status": line.status or 0,
        "statusText": line.error,
        "httpVersion": "HTTP/1.1" if line.status else "",
        "cookies": [],
        "headers": _headers(line.answer_headers),
        "content": _content(line.answer, _value(line.answer_headers, "content-type")),
        "redirectURL": _value(line.answer_headers, "location"),
        "headersSize": UNKNOWN,
        "bodySize": line.answer.size_bytes if line.status else UNKNOWN,
    }


def _content(answer: Body, kind: str) -> dict[str, Json]:
    content: dict[str, Json] = {"size": answer.size_bytes, "mimeType": kind or "x-unknown"}
    if answer.content is None:
        return {**content, "comment": f"sha256 {answer.sha256}" if answer.sha256 else "a file, left out"}
    try:
        return {**content, "text": answer.content.decode()}
    except UnicodeDecodeError:
        return {**content, "text": base64.b64encode(answer.content).decode(), "encoding": "base64"}


def _headers(headers: Mapping[str, str]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in headers.items()]


def _value(headers: Mapping[str, str], name: str) -> str:
    return next((value for key, value in headers.items() if key.lower() == name), "")


def _split(url: str) -> str:
    try:
        return urlsplit(url).query
    except ValueError:
        return ""
