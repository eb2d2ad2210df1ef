"""What must not stand in any file, and how large files and functions may grow."""

import ast
import os
import re

import pytest

from tests.gate.project_files import first_line, project_files, python_files, relative, text_of

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60

FORBIDDEN = {
    "a mirror or package registry: the machine's own configuration names them": (
        r"deb\.debian\.org|security\.debian\.org|snapshot\.debian\.org|ftp\.[a-z]+\.debian\.org|pypi\.org|pythonhosted\.org"
        r"|registry\.npmjs|archive\.ubuntu\.com"
    ),
    "an index line: pip's own configuration names its indexes": r"^\s*--(extra-)?index-url|^\s*--find-links",
    "an unfinished piece": r"\b(TODO|FIXME|XXX|HACK)\b",
    "a path of one machine": r"(?<![\w.])/work/(main|shared|brief)|\.\./shared/|/home/[a-z]+/|(?<![\w.])/opt/wheels",
}


@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_no_file_mentions(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what], re.MULTILINE)
    found = [
        f"{relative(path)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for path in project_files()
        if path.name != "test_source_texts.py" and (text := text_of(path)) is not None
        for match in pattern.finditer(text)
    ]
    assert found == []


def test_modules_stay_short() -> None:
    lengths = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    assert {name: length for name, length in lengths.items() if length > MAX_MODULE_LINES} == {}


def test_functions_stay_short() -> None:
    long = {
        f"{relative(path)}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in python_files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: length for name, length in long.items() if length > MAX_FUNCTION_LINES} == {}


def test_every_script_can_be_run() -> None:
    scripts = [path for path in project_files() if first_line(path).startswith("#!")]
    assert [relative(path) for path in scripts if not os.access(path, os.X_OK)] == []


def test_every_text_ends_with_a_newline_and_no_line_with_blanks() -> None:
    texts = {relative(path): text for path in project_files() if (text := text_of(path))}
    own = {name: text for name, text in texts.items() if not name.startswith("tests/data/")}
    assert [name for name, text in own.items() if not text.endswith("\n") or re.search(r"[ \t]+$", text, re.MULTILINE)] == []
