"""The recording of one boot as a file: gzip of JSON lines, a header first and what was dropped last. No I/O here.

Written within the limits, whatever a boot brings; read back by people who got it from anywhere, so nothing in it is believed:
every fault is a FieldError that names the line, and no file makes the reader take more memory or time than a whole one would.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from bootpilot_agent.fields import UUID_PATTERN, FieldError, Fields, Json
from bootpilot_agent.recorded_http import HttpLine
from bootpilot_agent.recording_lines import (
    MAX_LINE_BYTES,
    MAX_MS,
    BlocksLine,
    ClockLine,
    DhcpLine,
    EventLine,
    FileLine,
    KexecLine,
    Line,
    RunLine,
    SayLine,
    StepLine,
    UeventLine,
)
from bootpilot_agent.recording_room import MAX_PLAIN_BYTES, Dropped, Room

FORMAT = "bootpilot-recording"
VERSION = 1
SUFFIX = ".bootrec"
MAX_PACKED_BYTES = 1 << 20
MAX_LINES = 65536
# zlib: a gzip header and trailer around the largest window.
GZIP_WINDOW = 31
FEED_BYTES = 64 * 1024

READERS: Mapping[str, Callable[[Fields], Line]] = {
    FileLine.kind: FileLine.from_fields,
    BlocksLine.kind: BlocksLine.from_fields,
    UeventLine.kind: UeventLine.from_fields,
    DhcpLine.kind: DhcpLine.from_fields,
    RunLine.kind: RunLine.from_fields,
    ClockLine.kind: ClockLine.from_fields,
    HttpLine.kind: HttpLine.from_fields,
    EventLine.kind: EventLine.from_fields,
    StepLine.kind: StepLine.from_fields,
    SayLine.kind: SayLine.from_fields,
    KexecLine.kind: KexecLine.from_fields,
}


@dataclass(frozen=True)
class Header:
    """Which boot of which agent this is. `started_ms` is when this boot began; lines from before belong to it all the same."""

    boot_id: str
    agent_version: str
    build_id: str
    arch: str
    features: tuple[str, ...]
    started_ms: int

    def to_json(self) -> dict[str, Json]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "boot_id": self.boot_id,
            "agent_version": self.agent_version,
            "build_id": self.build_id,
            "arch": self.arch,
            "features": list(self.features),
            "started_ms": self.started_ms,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> "Header":
        if fields.raw.get("format") != FORMAT:
            raise FieldError(fields.name_of("format"), f"{FORMAT!r}: is this a recording?", fields.raw.get("format"))
        if fields.raw.get("version") != VERSION:
            raise FieldError(fields.name_of("version"), f"version {VERSION} of recordings", fields.raw.get("version"))
        return cls(
            boot_id=fields.text("boot_id", pattern=UUID_PATTERN, expected="a UUID"),
            agent_version=fields.text("agent_version", most=64),
            build_id=fields.text("build_id", most=128),
            arch=fields.text("arch", most=32),
            features=fields.texts("features", longest=64),
            started_ms=fields.number("started_ms", most=MAX_MS),
        )


@dataclass(frozen=True)
class Timed:
    """A line and its moment on the board's monotonic clock."""

    t_ms: int
    line: Line

    def to_bytes(self) -> bytes:
        return to_line({"t": self.t_ms, "k": self.line.kind, **self.line.to_json()})


@dataclass(frozen=True)
class Recording:
    """A recording that was read: `ended_ms` is when it was written, `dropped` what had to go by then, by kind."""

    header: Header
    lines: tuple[Timed, ...]
    ended_ms: int
    dropped: Mapping[str, Dropped]


def to_line(value: Mapping[str, Json]) -> bytes:
    """One line with its end; ASCII, so that no half character of a foreign string gets lost on the way."""
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


def pack(header: Header, room: Room, now_ms: int, clean: Callable[[bytes], bytes] = bytes) -> bytes:
    """The file, at most MAX_PACKED_BYTES; the room gives up what is too much. `clean` has the last look at each line."""
    while True:
        packed = _pack(header, room, now_ms, clean)
        if len(packed) <= MAX_PACKED_BYTES:
            return packed
        # What does not shrink when packed is dropped like the rest; each turn takes off at least a tenth.
        room.shrink(int(room.taken_bytes * min(0.9, MAX_PACKED_BYTES / len(packed))))


def _pack(header: Header, room: Room, now_ms: int, clean: Callable[[bytes], bytes]) -> bytes:
    dropped: dict[str, Json] = {
        kind: {"lines": row.lines, "bytes": row.size_bytes} for kind, row in sorted(room.dropped.items())
    }
    lines = [to_line(header.to_json()), *room.lines(), to_line({"t": now_ms, "k": "end", "dropped": dropped})]
    packer = zlib.compressobj(wbits=GZIP_WINDOW)
    return b"".join(packer.compress(clean(line)) for line in lines) + packer.flush()


def read(raw: bytes) -> Recording:
    """A file from anywhere -> recording. Raises FieldError."""
    lines = unpack(raw).split(b"\n")
    if len(lines) < 3 or lines.pop():
        raise FieldError("recording", "a header, an end, and each line ended", f"{len(lines)} lines")
    if len(lines) > MAX_LINES:
        raise FieldError("recording", f"at most {MAX_LINES} lines", len(lines))
    header = Header.from_fields(_fields(lines[0], "header"))
    timed = tuple(_read_lines(lines[1:-1]))
    end = _fields(lines[-1], f"line {len(lines)}")
    if end.raw.get("k") != "end":
        raise FieldError(end.name_of("k"), "'end': the recording breaks off", end.raw.get("k"))
    return Recording(header, timed, end.number("t", most=MAX_MS), _dropped(end.child("dropped")))


def unpack(raw: bytes) -> bytes:
    """The lines of a file, unpacked to the limit and not a byte further. Raises FieldError."""
    if len(raw) > MAX_PACKED_BYTES:
        raise FieldError("recording", f"at most {MAX_PACKED_BYTES} bytes", len(raw))
    unpacker = zlib.decompressobj(wbits=GZIP_WINDOW)
    plain = bytearray()
    try:
        for start in range(0, len(raw), FEED_BYTES):
            plain += unpacker.decompress(
                unpacker.unconsumed_tail + raw[start : start + FEED_BYTES], MAX_PLAIN_BYTES + 1 - len(plain)
            )
            if len(plain) > MAX_PLAIN_BYTES:
                raise FieldError("recording", f"at most {MAX_PLAIN_BYTES} bytes when unpacked", "more")
    except zlib.error as error:
        raise FieldError("recording", "a gzip file", str(error)) from error
    if not unpacker.eof:
        raise FieldError("recording", "a whole gzip file", f"{len(raw)} bytes that break off")
    if unpacker.unused_data:
        raise FieldError("recording", "one gzip file and nothing after it", f"{len(unpacker.unused_data)} bytes more")
    return bytes(plain)


def _read_lines(lines: Iterable[bytes]) -> Iterable[Timed]:
    for number, raw in enumerate(lines, start=2):
        fields = _fields(raw, f"line {number}")
        kind = fields.text("k", most=64)
        if reader := READERS.get(kind):
            yield Timed(fields.number("t", most=MAX_MS), reader(fields))
        # A kind of a newer agent is passed over, as an unknown field is.


def _fields(raw: bytes, name: str) -> Fields:
    try:
        return Fields(Fields.from_bytes(raw, MAX_LINE_BYTES).raw, name)
    except FieldError as error:
        raise FieldError(name, error.expected, raw[:60]) from error


def _dropped(fields: Fields) -> dict[str, Dropped]:
    rows = {name: fields.child(name) for name in list(fields.raw)[: len(READERS) + 1]}
    return {name: Dropped(row.number("lines"), row.number("bytes")) for name, row in rows.items()}
