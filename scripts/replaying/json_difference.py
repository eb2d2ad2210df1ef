"""Where two JSON values differ first. No I/O here."""

from collections.abc import Mapping

from bootpilot_agent.fields import Json

NOTHING = "nothing"


def first_difference(expected: Json, got: Json, ignored: Mapping[str, str], path: str = "") -> tuple[str, Json, Json] | None:
    """The first field that differs, depth first in the order of the recorded one; None if all are the same."""
    if path in ignored:
        return None
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in [*expected, *(key for key in got if key not in expected)]:
            name = f"{path}.{key}" if path else key
            if key not in got or key not in expected:
                if name in ignored:
                    continue
                return name, expected.get(key, NOTHING), got.get(key, NOTHING)
            if found := first_difference(expected[key], got[key], ignored, name):
                return found
        return None
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for number, (one, other) in enumerate(zip(expected, got, strict=True)):
            if found := first_difference(one, other, ignored, f"{path}[{number}]"):
                return found
        return None
    return None if expected == got and type(expected) is type(got) else (path, expected, got)
