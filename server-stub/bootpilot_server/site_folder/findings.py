"""What is wrong with an operator's file, where, and the readers that collect it. No I/O here.

A `Table` reads one TOML table by type and writes down every fault it meets, so that `check` shows all of them at once.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from bootpilot_server.site_folder.toml_lines import Path, line_of

Choice = TypeVar("Choice", bound=StrEnum)
StandIn = TypeVar("StandIn")


@dataclass(frozen=True, order=True)
class Finding:
    """One fault. A warning does not keep a folder from being applied."""

    file: str
    line: int
    reason: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {'warning: ' if self.warning else ''}{self.reason}"


@dataclass(frozen=True)
class Document:
    """One parsed file: its values, the lines of its keys and the list that takes its faults."""

    file: str
    lines: dict[Path, int]
    findings: list[Finding]

    def fault(self, path: Path, reason: str, *, warning: bool = False) -> None:
        self.findings.append(Finding(self.file, line_of(self.lines, path), reason, warning))


class Table:
    """One TOML table. Every reader returns a harmless stand-in where it notes a fault; `close` names keys nobody asked for."""

    def __init__(self, document: Document, values: dict[str, object], path: Path = ()) -> None:
        self.document = document
        self.values = values
        self.path = path
        self._known: set[str] = set()

    def fault(self, key: str, reason: str, *, warning: bool = False) -> None:
        self.document.fault((*self.path, key), f"{self._name(key)}: {reason}", warning=warning)

    def has(self, key: str) -> bool:
        self._known.add(key)
        return key in self.values

    def text(self, key: str, default: str | None = None, *, pattern: str = "", expected: str = "text") -> str:
        value = self._value(key, default)
        if isinstance(value, str) and (not pattern or re.fullmatch(pattern, value)):
            return value
        return self._wrong(key, expected, value, default or "")

    def number(self, key: str, default: int | None = None, *, least: int = 0, most: int = 2**40) -> int:
        value = self._value(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        return self._wrong(key, f"a whole number from {least} to {most}", value, default if default is not None else least)

    def flag(self, key: str, default: bool) -> bool:
        value = self._value(key, default)
        return value if isinstance(value, bool) else self._wrong(key, "true or false", value, default)

    def choice(self, key: str, choices: type[Choice], default: Choice | None = None) -> Choice:
        value = self._value(key, default)
        if isinstance(value, str) and value in list(choices):
            return choices(value)
        return self._wrong(key, "one of " + ", ".join(choices), value, default or next(iter(choices)))

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """A list of texts; a single text counts as a list of one."""
        value = self._value(key, list(default) if default is not None else None)
        items: Sequence[object] = [value] if isinstance(value, str) else value if isinstance(value, list) else [None]
        texts = tuple(item for item in items if isinstance(item, str))
        return texts if len(texts) == len(items) else self._wrong(key, "text or a list of texts", value, default or ())

    def scalars(self, key: str) -> tuple[str, ...]:
        """Texts, whole numbers, true and false, one of them or a list, as the texts that they are written as."""
        value = self._value(key, None)
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str | int) for item in items):
            return self._wrong(key, "text, a whole number, true, false or a list of them", value, ())
        return tuple(item if isinstance(item, str) else str(item).lower() for item in items)

    def table(self, key: str) -> "Table":
        value = self._value(key, {})
        values = value if isinstance(value, dict) else self._wrong(key, f"a table [{key}]", value, {})
        return Table(self.document, values, (*self.path, key))

    def tables(self, key: str) -> list["Table"]:
        value = self._value(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self._wrong(key, f"tables [[{key}]]", value, [])
            return []
        return [Table(self.document, item, (*self.path, key, index)) for index, item in enumerate(value)]

    def close(self) -> None:
        for key in self.values.keys() - self._known:
            near = difflib.get_close_matches(key, self._known, n=1)
            self.fault(
                key,
                "unknown key" + (f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(sorted(self._known))}"),
            )

    def _value(self, key: str, default: object) -> object:
        self._known.add(key)
        return self.values.get(key, default)

    def _wrong(self, key: str, expected: str, got: object, stand_in: StandIn) -> StandIn:
        shown = repr(got)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        self.fault(key, f"expected {expected}, got {shown}" if key in self.values else f"missing; expected {expected}")
        return stand_in

    def _name(self, key: str) -> str:
        name = ""
        for part in (*self.path, key):
            name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
        return name
