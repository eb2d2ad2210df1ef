"""A folder's texts -> one Revision and everything that is wrong with it. No I/O here."""

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import TypeVar

from bootpilot_server.deciding.recipes import Loader, Profile, Revision, Rule
from bootpilot_server.deciding.rendering import template_faults
from bootpilot_server.site_folder.findings import Document, Finding, Table
from bootpilot_server.site_folder.loaders import read_loader
from bootpilot_server.site_folder.local_recipes import install_findings
from bootpilot_server.site_folder.profiles import NAME_PATTERN, is_name, read_profile
from bootpilot_server.site_folder.rules import read_rule, ties
from bootpilot_server.site_folder.toml_lines import key_lines, line_of

Made = TypeVar("Made")

_TOML_POSITION = re.compile(r"\(at line (\d+), column \d+\)")


def read_revision(texts: Mapping[str, str], number: int = 0) -> tuple[Revision, list[Finding]]:
    """`texts` maps paths such as `rules/lab.toml` to their content. Use the revision only if no finding is an error."""
    findings: list[Finding] = []
    templates = {path.removeprefix("templates/"): text for path, text in texts.items() if path.startswith("templates/")}
    profiles: dict[str, Profile] = _read_each(
        "profiles", texts, findings, lambda name, table: read_profile(name, table, templates)
    )
    known = frozenset(_name(path) for path in texts if path.startswith("profiles/"))
    rules: dict[str, Rule] = _read_each("rules", texts, findings, lambda name, table: read_rule(name, table, known))
    loaders: dict[str, Loader] = _read_each("loaders", texts, findings, read_loader)
    for name in templates:
        findings += [Finding(f"templates/{name}", line, reason) for line, reason in template_faults(name, templates)]
    findings += install_findings(rules, profiles, texts)
    findings += _tie_findings("rules", list(rules.values()), texts)
    for arch in {loader.payload.arch for loader in loaders.values()}:
        selectors = [loader.selector for loader in loaders.values() if loader.payload.arch == arch]
        findings += _tie_findings("loaders", selectors, texts)
    return Revision(number, profiles, tuple(rules.values()), tuple(loaders.values())), sorted(set(findings))


def _read_each(
    folder: str, texts: Mapping[str, str], findings: list[Finding], read: Callable[[str, Table], Made]
) -> dict[str, Made]:
    found: dict[str, Made] = {}
    for path in sorted(texts):
        if not path.startswith(f"{folder}/"):
            continue
        if not path.endswith(".toml") or not is_name(_name(path)):
            findings.append(Finding(path, 1, f"expected a name like {NAME_PATTERN}.toml"))
            continue
        try:
            values = tomllib.loads(texts[path])
        except tomllib.TOMLDecodeError as error:
            findings.append(_toml_finding(path, texts[path], error))
            continue
        found[_name(path)] = read(_name(path), Table(Document(path, key_lines(texts[path]), findings), values))
    return found


def _toml_finding(path: str, text: str, error: tomllib.TOMLDecodeError) -> Finding:
    position = _TOML_POSITION.search(str(error))
    line = int(position[1]) if position else text.count("\n") + 1
    return Finding(path, line, _TOML_POSITION.sub("", str(error)).strip())


def _tie_findings(folder: str, rules: list[Rule], texts: Mapping[str, str]) -> list[Finding]:
    findings = []
    for one, other in ties(rules):
        path = f"{folder}/{other.name}.toml"
        reason = f"has the priority {one.priority} of {folder}/{one.name}.toml; a board could match both, with different plans"
        findings.append(Finding(path, line_of(key_lines(texts[path]), ("priority",)), reason))
    return findings


def _name(path: str) -> str:
    return path.partition("/")[2].removesuffix(".toml")
