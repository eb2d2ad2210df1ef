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
    for line, statement in _statements(text):
        if header := _HEADER.match(statement):
            prefix = _enter(_split(header[2]), header[1] == "[[", tables)
            found[prefix] = line
        elif assignment := _ASSIGNMENT.match(statement):
            path = prefix + _split(assignment[1])
            found.setdefault(path, line)
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


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each header or assignment with the line on which it begins; strings and comments are blanked, brackets followed."""
    plain = _STRING.sub(_blank, text.replace("\r\n", "\n"))
    start, depth, gathered = 1, 0, ""
    for number, (line, original) in enumerate(
        zip(plain.split("\n"), text.replace("\r\n", "\n").split("\n"), strict=True), start=1
    ):
        start, gathered = (number, original) if not gathered else (start, gathered)
        is_header = depth == 0 and line.lstrip().startswith("[")
        depth = 0 if is_header else depth + sum(line.count(mark) for mark in "[{") - sum(line.count(mark) for mark in "]}")
        if depth == 0:
            yield start, gathered
            gathered = ""


def _blank(match: re.Match[str]) -> str:
    """The same number of lines and nothing that looks like syntax. A quoted key stays readable in the original line."""
    return re.sub(r"[^\n]", "_", match[0])


def _split(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in re.findall(_KEY, dotted))
