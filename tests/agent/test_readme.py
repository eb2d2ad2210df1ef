"""The README is the contract: what the code knows stands in its tables."""

from dataclasses import fields
from pathlib import Path

import pytest

import bootpilot_agent
from bootpilot_agent import errors
from bootpilot_agent.boot_note import BootNote
from bootpilot_agent.errors import AgentError
from bootpilot_agent.events import EventName
from bootpilot_agent.plan import BootPayload, Plan, Report
from bootpilot_agent.report import FEATURES

README = (Path(bootpilot_agent.__file__).parents[1] / "README.md").read_text(encoding="utf-8")
FAILURES = {
    (kind.stage, kind.exit_code) for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AgentError)
}
# What the wire calls differently from the type.
ON_THE_WIRE = {
    "agent_version": "agent",
    "build_id": "agent",
    "inventory": "board",
    "clock_unix_s": "clock",
    "dtb_policy": "dtb",
}


@pytest.mark.parametrize("name", EventName)
def test_every_event_is_in_the_table(name: EventName) -> None:
    assert f"`{name}`" in README


@pytest.mark.parametrize(("stage", "exit_code"), sorted(FAILURES))
def test_every_stage_is_in_the_table_with_its_exit_code(stage: str, exit_code: int) -> None:
    assert f"| `{stage}` | {exit_code} |" in README


@pytest.mark.parametrize("feature", sorted({feature for features in FEATURES.values() for feature in features}))
def test_every_feature_is_in_the_table(feature: str) -> None:
    assert f"`{feature}`" in README


@pytest.mark.parametrize("kind", [Report, Plan, BootPayload, BootNote])
def test_every_field_on_the_wire_is_in_a_table(kind: type) -> None:
    names = {ON_THE_WIRE.get(field.name, field.name) for field in fields(kind)}
    assert [name for name in sorted(names) if f"`{name}`" not in README] == []
