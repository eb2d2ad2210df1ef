"""The lines of a recording: what a boot took from outside, and what it did. No I/O here.

Each kind is a type with its form in JSON; `t` is the board's monotonic clock in milliseconds. Exchanges over HTTP are in
recorded_http.py, the file as a whole in recording.py, what must never stand in it in recording_secrets.py.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Protocol

from bootpilot_agent.fields import FieldError, Fields, Json

# One line at most; a device tree of 256 KiB in base64 fits.
MAX_LINE_BYTES = 512 * 1024
MAX_MS = 2**53
MAX_NAMES = 4096
MAX_ARGUMENTS = 1024
MAX_PAIRS = 256


class Line(Protocol):
    """What stands in one line besides its time."""

    kind: ClassVar[str]

    def to_json(self) -> dict[str, Json]: ...


class FileKind(StrEnum):
    """What was at a path. Nothing: it was looked for and not there, or could not be read."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    NOTHING = "nothing"


@dataclass(frozen=True)
class FileLine:
    """What was read at a path below the board's root, without the leading slash. `names` of a folder, `target` of a link."""

    kind: ClassVar[str] = "file"
    path: str
    what: FileKind
    content: bytes = b""
    names: tuple[str, ...] = ()
    target: str = ""

    def to_json(self) -> dict[str, Json]:
        more: dict[str, Json] = {}
        if self.what is FileKind.FILE:
            more = content_to_json(self.content, "text", "b64")
        elif self.what is FileKind.FOLDER:
            more = {"names": list(self.names)}
        elif self.what is FileKind.LINK:
            more = {"target": self.target}
        return {"path": self.path, "kind": self.what, **more}

    @classmethod
    def from_fields(cls, fields: Fields) -> "FileLine":
        what = fields.choice("kind", FileKind)
        return cls(
            path=fields.text("path", most=4096),
            what=what,
            content=content_of(fields, "text", "b64") if what is FileKind.FILE else b"",
            names=fields.texts("names", most=MAX_NAMES) if what is FileKind.FOLDER else (),
            target=fields.text("target", most=4096) if what is FileKind.LINK else "",
        )


@dataclass(frozen=True)
class BlocksLine:
    """What was read of a disk: the sectors of its partition table, or of a mark."""

    kind: ClassVar[str] = "blocks"
    disk: str
    offset: int
    content: bytes

    def to_json(self) -> dict[str, Json]:
        return {"disk": self.disk, "offset": self.offset, "b64": base64.b64encode(self.content).decode()}

    @classmethod
    def from_fields(cls, fields: Fields) -> "BlocksLine":
        return cls(fields.text("disk", most=256), fields.number("offset", most=2**63), _base64_of(fields, "b64"))


@dataclass(frozen=True)
class UeventLine:
    """A device that came or went while the agent ran, as the kernel told it."""

    kind: ClassVar[str] = "uevent"
    properties: Mapping[str, str]

    def to_json(self) -> dict[str, Json]:
        return {"properties": dict(self.properties)}

    @classmethod
    def from_fields(cls, fields: Fields) -> "UeventLine":
        return cls(texts_by_name(fields, "properties"))


@dataclass(frozen=True)
class DhcpLine:
    """The hook's dump as the agent took it: NUL-separated, one character for each byte."""

    kind: ClassVar[str] = "dhcp"
    interface: str
    text: str

    def to_json(self) -> dict[str, Json]:
        return {"interface": self.interface, "text": self.text}

    @classmethod
    def from_fields(cls, fields: Fields) -> "DhcpLine":
        return cls(fields.text("interface", most=256), fields.text("text", most=MAX_LINE_BYTES))


@dataclass(frozen=True)
class RunLine:
    """A program that was run. `returncode` is None where it was not started, or did not end in time."""

    kind: ClassVar[str] = "run"
    argv: tuple[str, ...]
    returncode: int | None
    stdout: str
    stderr: str

    def to_json(self) -> dict[str, Json]:
        return {"argv": list(self.argv), "returncode": self.returncode, "stdout": self.stdout, "stderr": self.stderr}

    @classmethod
    def from_fields(cls, fields: Fields) -> "RunLine":
        return cls(
            argv=fields.texts("argv", most=MAX_ARGUMENTS, longest=MAX_LINE_BYTES),
            returncode=fields.number_or_none("returncode", least=-(2**31), most=2**31),
            stdout=fields.text("stdout", most=MAX_LINE_BYTES),
            stderr=fields.text("stderr", most=MAX_LINE_BYTES),
        )


@dataclass(frozen=True)
class ClockLine:
    """What the wall clock said, in unix seconds; None where no number can be read. `corrected`: the agent set it so."""

    kind: ClassVar[str] = "clock"
    real_s: int | None
    corrected: bool = False

    def to_json(self) -> dict[str, Json]:
        return {"real_s": self.real_s, **({"corrected": True} if self.corrected else {})}

    @classmethod
    def from_fields(cls, fields: Fields) -> "ClockLine":
        return cls(fields.number_or_none("real_s", least=-(2**53), most=2**53), bool(fields.flag_or_none("corrected")))


@dataclass(frozen=True)
class EventLine:
    """An event as the journal took it."""

    kind: ClassVar[str] = "event"
    name: str
    data: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        return {"name": self.name, "data": dict(self.data)}

    @classmethod
    def from_fields(cls, fields: Fields) -> "EventLine":
        return cls(fields.text("name", most=64), dict(fields.child("data").raw) if fields.has("data") else {})


@dataclass(frozen=True)
class StepLine:
    """A step of the boot (main.Edges) begins; or it is over, then `ms` says after how long, and `error` why it failed.

    `decided` is what it came to, for people.
    """

    kind: ClassVar[str] = "step"
    name: str
    ms: int | None = None
    error: str = ""
    decided: str = ""

    def to_json(self) -> dict[str, Json]:
        more = {"ms": self.ms, "error": self.error or None, "decided": self.decided or None}
        return {"name": self.name, **{key: value for key, value in more.items() if value is not None}}

    @classmethod
    def from_fields(cls, fields: Fields) -> "StepLine":
        error = fields.text_or_none("error", most=MAX_LINE_BYTES) or ""
        decided = fields.text_or_none("decided", most=MAX_LINE_BYTES) or ""
        return cls(fields.text("name", most=128), fields.number_or_none("ms", most=MAX_MS), error, decided)


@dataclass(frozen=True)
class SayLine:
    """What was said on the console."""

    kind: ClassVar[str] = "say"
    text: str

    def to_json(self) -> dict[str, Json]:
        return {"text": self.text}

    @classmethod
    def from_fields(cls, fields: Fields) -> "SayLine":
        return cls(fields.text("text", most=MAX_LINE_BYTES))


@dataclass(frozen=True)
class KexecLine:
    """What the kernel was asked: `load` with its command line and the plan's digests by name, or `jump`."""

    kind: ClassVar[str] = "kexec"
    call: str
    command_line: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        return {"call": self.call, "command_line": self.command_line, "digests": dict(self.digests)}

    @classmethod
    def from_fields(cls, fields: Fields) -> "KexecLine":
        return cls(fields.text("call", most=64), fields.text("command_line", most=1 << 16), texts_by_name(fields, "digests"))


def content_to_json(content: bytes, text: str, b64: str) -> dict[str, Json]:
    """Bytes as text where they are UTF-8, else in base64, under the one key or the other."""
    try:
        return {text: content.decode()}
    except UnicodeDecodeError:
        return {b64: base64.b64encode(content).decode()}


def content_of(fields: Fields, text: str, b64: str) -> bytes:
    """The bytes under either key. Raises FieldError."""
    if fields.has(b64):
        return _base64_of(fields, b64)
    return fields.text(text, most=MAX_LINE_BYTES).encode()


def texts_by_name(fields: Fields, name: str, most: int = MAX_PAIRS) -> dict[str, str]:
    """A field that is an object of texts. Raises FieldError."""
    pairs = fields.child(name)
    if len(pairs.raw) > most:
        raise FieldError(fields.name_of(name), f"at most {most} names", len(pairs.raw))
    return {key: pairs.text(key, most=MAX_LINE_BYTES) for key in pairs.raw}


def _base64_of(fields: Fields, name: str) -> bytes:
    text = fields.text(name, most=MAX_LINE_BYTES)
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise FieldError(fields.name_of(name), "base64", text) from error
