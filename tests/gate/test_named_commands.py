"""Every command that a text of ours tells a person to type is one that the program knows."""

import argparse
import re

from bootpilot_server.cli import make_parser
from tests.gate.project_files import ROOT

FOLDERS = ("agent", "server-stub", "initramfs", "scripts")
NAMED = re.compile(r"`(?:scripts/)?bootpilot ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?")
# The first bytes of a mark's partition.
NO_COMMANDS = {"mark"}


def _verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _is_known(verb: str, inner: str) -> bool:
    verbs = _verbs(make_parser())
    return verb in verbs and (not inner or inner in (_verbs(verbs[verb]) or {inner}))


def test_each_command_that_a_text_names_is_there() -> None:
    files = [ROOT / "README.md", *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]
    named = {
        found.groups(default="")
        for path in files
        if path.suffix in (".py", ".md", ".html", ".toml")
        for found in NAMED.finditer(path.read_text(encoding="utf-8"))
        if found[1] not in NO_COMMANDS
    }
    assert len(named) > 20
    assert sorted(words for words in named if not _is_known(*words)) == []
