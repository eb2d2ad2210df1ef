"""Makes the lines of a recording out of what the doors told, without secrets and within its room. No I/O here.

Imported when a recording is to be sent, or when so much was heard that it has to be made smaller: see flight.py.
"""

from collections.abc import Callable, Mapping, Sequence

from bootpilot_agent import recording
from bootpilot_agent.events import EventName
from bootpilot_agent.fields import Json
from bootpilot_agent.heard_exchange import HeardAnswer
from bootpilot_agent.recorded_http import MAX_BODY_BYTES, Body, HttpLine, keeps_answer, keeps_body
from bootpilot_agent.recording import Header, Timed
from bootpilot_agent.recording_lines import (
    MAX_LINE_BYTES,
    BlocksLine,
    ClockLine,
    DhcpLine,
    EventLine,
    FileKind,
    FileLine,
    KexecLine,
    Line,
    RunLine,
    SayLine,
    StepLine,
    UeventLine,
)
from bootpilot_agent.recording_room import Room
from bootpilot_agent.recording_secrets import Secrets
from bootpilot_agent.taps import Request

MAX_OUTPUT = 8 * 1024
MAX_NAMES = 1024
MAX_TEXT = 2000


class Recorder:
    """The recording of one boot after the other. Used by one thread at a time."""

    def __init__(self) -> None:
        self._room = Room()
        self._secrets = Secrets()
        self._started_ms = 0
        self._ended_ms = 0

    def take(self, t_ms: int, word: str, args: tuple[object, ...]) -> None:
        """One word of the doors; those are the names of the methods below."""
        line = WORDS[word](self, *args)
        self._ended_ms = max(self._ended_ms, t_ms)
        if word == "added_event" and args[0] == EventName.STARTED:
            # Another boot: only what was read of the board stays.
            self._room.begin()
            self._started_ms = t_ms
        if line is None:
            return
        text = Timed(t_ms, line).to_bytes()
        if len(text) > MAX_LINE_BYTES:
            self._room.count_dropped(line.kind, len(text))
        else:
            self._room.add(line.kind, text)

    def count_lost(self, words: int) -> None:
        """So many words of all kinds were not even kept."""
        if words:
            self._room.count_dropped("any", 0, words)

    def copy(self) -> "Recorder":
        """Another one that has heard the same."""
        other = Recorder()
        other._room, other._secrets = self._room.copy(), self._secrets.copy()
        other._started_ms, other._ended_ms = self._started_ms, self._ended_ms
        return other

    def pack(self, boot_id: str, agent_version: str, build_id: str, arch: str, features: Sequence[str]) -> bytes:
        """The file. The lines from before a secret was known have it taken out now."""
        header = Header(boot_id, agent_version, build_id, arch, tuple(features), self._started_ms)
        return recording.pack(header, self._room, self._ended_ms, self._secrets.clean_known)

    def read(self, name: str, content: bytes) -> Line:
        text = self._secrets.clean_text
        return FileLine(text(name), FileKind.FILE, self._secrets.clean_file(name, content))

    def listed(self, name: str, names: Sequence[str]) -> Line:
        text = self._secrets.clean_text
        return FileLine(text(name), FileKind.FOLDER, names=tuple(text(one) for one in names[:MAX_NAMES]))

    def followed(self, name: str, target: str) -> Line:
        text = self._secrets.clean_text
        return FileLine(text(name), FileKind.LINK, target=text(target))

    def read_blocks(self, disk: str, offset: int, content: bytes) -> Line:
        return BlocksLine(disk, offset, self._secrets.clean(content))

    def heard_uevent(self, properties: Mapping[str, str]) -> Line:
        text = self._secrets.clean_text
        return UeventLine({text(name): text(value) for name, value in properties.items()})

    def took_dhcp(self, interface: str, dump: bytes) -> Line:
        return DhcpLine(interface, self._secrets.clean(dump).decode("latin-1"))

    def ran(self, argv: Sequence[str], returncode: int | None, stdout: str, stderr: str) -> Line:
        text = self._secrets.clean_text
        words = tuple(text(word) for word in argv)
        return RunLine(words, returncode, text(stdout[-MAX_OUTPUT:]), text(stderr[-MAX_OUTPUT:]))

    def read_clock(self, real_s: float, corrected: bool) -> Line:
        readable = -(2.0**53) < real_s < 2.0**53
        return ClockLine(int(real_s) if readable else None, corrected)

    def added_event(self, name: str, data: Mapping[str, Json]) -> Line:
        cleaned = self._clean_json(dict(data))
        return EventLine(name, cleaned if isinstance(cleaned, dict) else {})

    def said(self, text: str) -> Line:
        return SayLine(self._secrets.clean_text(text))

    def began(self, step: str) -> Line:
        return StepLine(step)

    def ended(self, step: str, ms: int, error: str, decided: str) -> Line:
        text = self._secrets.clean_text
        return StepLine(step, ms, text(error[:MAX_TEXT]), text(decided[:MAX_TEXT]))

    def called_kexec(self, call: str, command_line: str, digests: Mapping[str, str]) -> Line:
        return KexecLine(call, self._secrets.clean_text(command_line), dict(digests))

    def learnt(self, secret: str) -> None:
        self._secrets.learn(secret)

    def exchanged(self, request: Request, answer: HeardAnswer) -> Line:
        method, url, sent = request.method, request.url, request.body
        limit_bytes = 0 if answer.status is None else keeps_answer(method, url, answer.status, answer.headers)
        keeps = keeps_body(method, url) and len(sent) <= MAX_BODY_BYTES
        kept = answer.content if answer.content is not None and answer.size_bytes <= limit_bytes else None
        # The bodies first: what is secret in them is taken out of the rest as well.
        body = self._body(sent if keeps else None, len(sent), "")
        came = self._body(b"" if not answer.size_bytes else kept, answer.size_bytes, answer.sha256)
        return HttpLine(
            connection=request.connection,
            interface=request.interface,
            method=method,
            url=self._secrets.clean_text(url),
            headers=self._secrets.clean_headers(request.headers),
            body=body,
            status=answer.status,
            answer_headers=self._secrets.clean_headers(answer.headers),
            answer=came,
            error=self._secrets.clean_text(answer.error),
            marks=answer.marks,
            ms=answer.ms,
        )

    def _body(self, content: bytes | None, size_bytes: int, digest: str) -> Body:
        if content is None:
            # The digest of a file that may hold secrets is one of the values that are known, and gets its stand-in.
            return Body(size_bytes, None, self._secrets.clean_text(digest))
        cleaned = self._secrets.clean_body(content)
        return Body(len(cleaned), cleaned)

    def _clean_json(self, value: Json) -> Json:
        """The texts in a small value, cleaned."""
        if isinstance(value, str):
            return self._secrets.clean_text(value)
        if isinstance(value, dict):
            return {self._secrets.clean_text(key): self._clean_json(inner) for key, inner in value.items()}
        return [self._clean_json(inner) for inner in value] if isinstance(value, list) else value


# What flight.py tells, and what becomes of it.
WORDS: Mapping[str, Callable[..., Line | None]] = {
    word: getattr(Recorder, word)
    for word in (
        "read", "listed", "followed", "read_blocks", "heard_uevent", "took_dhcp", "ran", "read_clock", "added_event", "said",
        "began", "ended", "called_kexec", "learnt", "exchanged",
    )
}  # fmt: skip
