"""Reading foreign JSON field by field. No I/O here.

Everything from the network passes through `Fields` once, at the edge, and becomes a frozen type; an error names the field,
what was expected and what came. Fields that nobody asks for are ignored (a newer peer may send more).
"""

import json
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import TypeVar

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Choice = TypeVar("Choice", bound=StrEnum)

MAX_BODY_BYTES = 64 * 1024
MAX_DEPTH = 16
MAX_TEXT = 4096
UUID_PATTERN = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
# A batch and its secret, from a card.
ENROL_PATTERN = r"[a-z0-9][a-z0-9._-]{0,62}:[0-9A-Za-z._~-]{16,128}"


class FieldError(ValueError):
    """One field is missing or wrong. `field` is its dotted path, `expected` a phrase for a person."""

    def __init__(self, field: str, expected: str, got: object) -> None:
        shown = ascii(got)
        super().__init__(f"{field}: expected {expected}, got {shown if len(shown) <= 80 else shown[:77] + '...'}")
        self.field = field
        self.expected = expected


def parse_json(raw: bytes, limit_bytes: int = MAX_BODY_BYTES) -> Json:
    """Bytes -> JSON value. Refuses oversize, non-UTF-8, duplicate keys, NaN and deep nesting with FieldError."""
    if len(raw) > limit_bytes:
        raise FieldError("body", f"at most {limit_bytes} bytes", len(raw))
    try:
        value: Json = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except FieldError:
        raise
    except (ValueError, RecursionError) as error:  # also an integer of more digits than Python converts
        raise FieldError("body", "JSON", raw[:60]) from error
    if _depth(value) > MAX_DEPTH:
        raise FieldError("body", f"at most {MAX_DEPTH} levels", raw[:60])
    return value


def _unique_keys(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise FieldError("body", "each key once", [key for key, _ in pairs])
    return result


def _no_constant(name: str) -> Json:
    raise FieldError("body", "finite numbers", name)


def _depth(value: Json) -> int:
    level, current = 0, [value]
    while current and level <= MAX_DEPTH:
        level += 1
        current = [inner for outer in current for inner in _inside(outer)]
    return level


def _inside(value: Json) -> Iterator[Json]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


class Fields:
    """One JSON object with its path, read by type. Every reader raises FieldError."""

    def __init__(self, raw: dict[str, Json], path: str = "") -> None:
        self.raw = raw
        self.path = path

    @classmethod
    def from_bytes(cls, raw: bytes, limit_bytes: int = MAX_BODY_BYTES) -> "Fields":
        value = parse_json(raw, limit_bytes)
        if not isinstance(value, dict):
            raise FieldError("body", "a JSON object", value)
        return cls(value)

    def name_of(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def has(self, name: str) -> bool:
        """True if the field is there and not null."""
        return self.raw.get(name) is not None

    def version(self, wanted: int) -> None:
        """The protocol version, an integer; any other is refused by name."""
        got = self.raw.get("version")
        if got != wanted or isinstance(got, bool):
            raise FieldError("version", f"protocol version {wanted}", got)

    def text(self, name: str, *, most: int = MAX_TEXT, pattern: str = "", expected: str = "") -> str:
        value = self.raw.get(name)
        if not isinstance(value, str):
            raise FieldError(self.name_of(name), expected or "text", value)
        return check_text(self.name_of(name), value, most=most, pattern=pattern, expected=expected)

    def number(self, name: str, *, least: int = 0, most: int = 2**63) -> int:
        value = self.raw.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise FieldError(self.name_of(name), f"an integer from {least} to {most}", value)
        return value

    def flag(self, name: str) -> bool:
        value = self.raw.get(name)
        if not isinstance(value, bool):
            raise FieldError(self.name_of(name), "true or false", value)
        return value

    def choice(self, name: str, choices: type[Choice]) -> Choice:
        value = self.raw.get(name)
        if not isinstance(value, str) or value not in list(choices):
            raise FieldError(self.name_of(name), "one of " + ", ".join(choices), value)
        return choices(value)

    def child(self, name: str) -> "Fields":
        value = self.raw.get(name)
        if not isinstance(value, dict):
            raise FieldError(self.name_of(name), "an object", value)
        return Fields(value, self.name_of(name))

    def children(self, name: str, *, most: int = 64) -> list["Fields"]:
        found = []
        for index, value in enumerate(self._items(name, most)):
            if not isinstance(value, dict):
                raise FieldError(f"{self.name_of(name)}[{index}]", "an object", value)
            found.append(Fields(value, f"{self.name_of(name)}[{index}]"))
        return found

    def texts(self, name: str, *, most: int = 64, longest: int = MAX_TEXT) -> tuple[str, ...]:
        found = []
        for index, value in enumerate(self._items(name, most)):
            if not isinstance(value, str):
                raise FieldError(f"{self.name_of(name)}[{index}]", "text", value)
            found.append(check_text(f"{self.name_of(name)}[{index}]", value, most=longest))
        return tuple(found)

    def text_or_none(self, name: str, *, most: int = MAX_TEXT) -> str | None:
        return self.text(name, most=most) if self.has(name) else None

    def number_or_none(self, name: str, *, least: int = 0, most: int = 2**63) -> int | None:
        return self.number(name, least=least, most=most) if self.has(name) else None

    def flag_or_none(self, name: str) -> bool | None:
        return self.flag(name) if self.has(name) else None

    def _items(self, name: str, most: int) -> list[Json]:
        value = self.raw.get(name)
        if not isinstance(value, list) or len(value) > most:
            raise FieldError(self.name_of(name), f"a list of at most {most}", value)
        return value


def check_text(name: str, value: str, *, most: int = MAX_TEXT, pattern: str = "", expected: str = "") -> str:
    """The value itself if it is well-formed text within `most` characters that matches `pattern` whole; else FieldError."""
    if len(value) > most:
        raise FieldError(name, expected or f"at most {most} characters", value)
    # Almost all of it is ASCII, and a server that looks at 20 000 reports reads a million characters.
    if not value.isascii() and any(0xD800 <= ord(char) <= 0xDFFF for char in value):
        raise FieldError(name, "text without lone surrogates", value)
    if pattern and not re.fullmatch(pattern, value):
        raise FieldError(name, expected or f"text like {pattern}", value)
    return value
