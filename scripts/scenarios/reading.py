"""Reads written boots: TOML -> Scenario. Every key is checked by its type; an error names file, key and what was expected."""

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from scripts.scenarios.scenario import Scenario

ROWS = Path(__file__).parent / "rows"
# The key of a table in TOML, which speaks of one, for the field, which holds several.
TABLES = {"lan": "lans", "adapter": "adapters", "fault": "faults", "change": "changes"}


class ScenarioError(ValueError):
    """A scenario that cannot be read: `where` is file and key, `expected` a phrase for a person."""

    def __init__(self, where: str, expected: str, got: object) -> None:
        super().__init__(f"{where}: expected {expected}, got {got!r}")
        self.where = where
        self.expected = expected


def read_rows(folder: Path = ROWS) -> dict[str, Scenario]:
    """Name -> scenario, in the order of their files; each file has one group. Raises ScenarioError, OSError."""
    rows: dict[str, Scenario] = {}
    for path in sorted(folder.glob("*.toml")):
        for scenario in parse_rows(path.read_text(encoding="utf-8"), path.stem):
            if scenario.name in rows:
                raise ScenarioError(f"{path.name}: {scenario.name}", "a name of its own", scenario.name)
            rows[scenario.name] = scenario
    return rows


def find_scenario(name: str, folder: Path = ROWS) -> Scenario:
    """NAME of the rows, or FILE.toml#NAME, or FILE.toml with one scenario in it. Raises ScenarioError, OSError."""
    path, _, chosen = name.partition("#")
    if not path.endswith(".toml"):
        rows = read_rows(folder)
        chosen = name
    else:
        rows = {row.name: row for row in parse_rows(Path(path).read_text(encoding="utf-8"), Path(path).stem)}
        chosen = chosen or next(iter(rows), "") if len(rows) == 1 else chosen
    if chosen not in rows:
        raise ScenarioError(name, "a written boot (`scripts/fault-matrix --list` shows all)", chosen)
    return rows[chosen]


def parse_rows(text: str, group: str) -> list[Scenario]:
    """The scenarios of one file: a table each, by name. Raises ScenarioError."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(group, "TOML", str(error)) from error
    rows = []
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ScenarioError(f"{group}: {name}", "a table with a scenario", table)
        rows.append(check(_build(Scenario, {**table, "name": name, "group": group}, f"{group}: {name}")))
    return rows


def check(scenario: Scenario) -> Scenario:
    """The scenario itself if its parts fit together. Raises ScenarioError."""
    lans = {lan.name for lan in scenario.lans}
    adapters = {adapter.name for adapter in scenario.adapters}
    for what, named in (
        ("adapter.lan", [adapter.lan for adapter in scenario.adapters]),
        ("dhcp.lan", [dhcp.lan for dhcp in scenario.dhcp]),
    ):
        for name in named:
            if name not in lans:
                raise ScenarioError(f"{scenario.group}: {scenario.name}.{what}", f"one of {', '.join(sorted(lans))}", name)
    for change in scenario.changes:
        if change.target and change.target not in adapters | lans:
            raise ScenarioError(
                f"{scenario.group}: {scenario.name}.change.target", "an adapter or a LAN of this scenario", change.target
            )
    return scenario


def _build(kind: type, table: Mapping[str, object], where: str) -> typing.Any:
    hints = typing.get_type_hints(kind)
    values = {}
    for key, value in table.items():
        name = TABLES.get(key, key) if isinstance(value, list) else key
        if name not in hints:
            raise ScenarioError(f"{where}.{key}", f"one of {', '.join(sorted(hints))}", value)
        values[name] = _read(hints[name], value, f"{where}.{key}")
    missing = [
        field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING and field.name not in values
    ]
    if missing:
        raise ScenarioError(f"{where}.{missing[0]}", "a value", None)
    return kind(**values)


def _read(hint: typing.Any, value: object, where: str) -> object:
    """One value as the noun's own type says."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(kind for kind in typing.get_args(hint) if kind is not type(None))
    if typing.get_origin(hint) is tuple:
        return _read_several(typing.get_args(hint), value, where)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise ScenarioError(where, "a table", value)
        return _build(typing.cast("type", hint), value, where)
    if issubclass(hint, StrEnum):
        if value not in [member.value for member in hint]:
            raise ScenarioError(where, "one of " + ", ".join(hint), value)
        return hint(value)
    allowed = (int, float) if hint is float else (hint,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and hint is not bool):
        raise ScenarioError(where, {str: "text", int: "a whole number", float: "a number", bool: "true or false"}[hint], value)
    return value


def _read_several(kinds: tuple[typing.Any, ...], value: object, where: str) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise ScenarioError(where, "a list", value)
    if kinds[-1] is Ellipsis:
        return tuple(_read(kinds[0], item, f"{where}[{number}]") for number, item in enumerate(value))
    if len(value) != len(kinds):
        raise ScenarioError(where, f"{len(kinds)} values", value)
    return tuple(_read(kind, item, f"{where}[{number}]") for number, (kind, item) in enumerate(zip(kinds, value, strict=True)))
