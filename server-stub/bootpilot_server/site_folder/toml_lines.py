"""Where each key of a TOML document stands. No I/O here.

`tomllib` gives values without positions, and an operator wants `profiles/web.toml:12`. This reads just enough of the syntax to
follow table headers, keys and brackets; it runs only on documents that `tomllib` accepted.
"""

import re
from collections.abc import Iterator

Path = tuple[str | int, ...]

_KEY = r"(?:[A-Za-z0-9_-]+|\"(?:[^\"\\]|\\.)*\"|'[^']*')"
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]")
_ASSIGNMENT = re.compile(rf"\s*({_DOTTED})\s*=")
_STRING = re.compile(r'"""(?:[^\\]|\\.)*?"""|' + r"'''.*?'''|" + r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'|#[^\n]*", re.DOTALL)


def key_lines(text: str) -> dict[Path, int]:
    """Path of every table and key -> its line, counted from 1. Tables in arrays carry their index."""
    found: dict[Path, int] = {}
    tables: dict[Path, int] = {}
    prefix: Path = ()
    for number, plain, original in _statements(text.replace("\r\n", "\n")):
        # Strings are blanked in `plain` character by character: what matches there stands at the same place in `original`.
        if header := _HEADER.match(plain):
            prefix = _enter(_split(original[header.start(2) : header.end(2)]), header[1] == "[[", tables)
            found[prefix] = number
        elif assignment := _ASSIGNMENT.match(plain):
            path = prefix + _split(original[assignment.start(1) : assignment.end(1)])
            found.setdefault(path, number)
    return found


def line_of(lines: dict[Path, int], path: Path) -> int:
    """The line of this key, or of the nearest table around it; 1 for the document itself."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1


def _enter(names: Path, is_array: bool, tables: dict[Path, int]) -> Path:
    """The full path of a table header, with the index of every array of tables that it passes through."""
    path: Path = ()
    for position, name in enumerate(names, start=1):
        path += (name,)
        if is_array and position == len(names):
            tables[path] = tables.get(path, -1) + 1
        if path in tables:
            path += (tables[path],)
    return path


def _statements(text: str) -> Iterator[tuple[int, str, str]]:
    """The first line of each header or assignment: its number, the line with strings and comments blanked, and as it is."""
    blanked = _STRING.sub(_blank, text)
    depth = 0
    for number, (plain, original) in enumerate(zip(blanked.split("\n"), text.split("\n"), strict=True), start=1):
        if depth == 0:
            yield number, plain, original
            if _HEADER.match(plain):
                continue
        depth += sum(plain.count(mark) for mark in "[{") - sum(plain.count(mark) for mark in "]}")


def _blank(match: re.Match[str]) -> str:
    """As many characters and lines, and nothing that looks like syntax but for a name."""
    return re.sub(r"[^\n]", "_", match[0])


def _split(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in re.findall(_KEY, dotted))
