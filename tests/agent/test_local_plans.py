"""`local` plans on the wire, and what an agent makes of one that cannot start a system from the disk."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bootpilot_agent.errors import PlanError
from bootpilot_agent.fields import FieldError
from bootpilot_agent.local_boot import Find, LocalBoot, Otherwise
from bootpilot_agent.plan import Action, Plan, Watchdog
from bootpilot_agent.report import FEATURES
from bootpilot_agent.trust import check_plan
from tests.fakes.reports import make_report

REPORT = make_report()
PLAN = Plan(
    node_id="00000000-0000-4000-8000-00000000000a", boot_id=REPORT.boot_id, token="t", nonce=REPORT.nonce, action=Action.LOCAL,
    writes_disk=False, requires=("local", "mark"), valid_s=300, fetch_deadline_s=3600, payload_up_deadline_s=300,
    watchdog=Watchdog.STOP, install_id="00000000-0000-4000-8000-00000000000b", local=LocalBoot(Find.MARK, profile="lamp"),
)  # fmt: skip


def read(plan: dict[str, Any]) -> Plan:
    return Plan.from_json(json.dumps(plan).encode(), "arm64")


@pytest.mark.parametrize(
    "local",
    [
        LocalBoot(Find.MARK, profile="lamp", otherwise=Otherwise.REINSTALL, failures=5),
        LocalBoot(Find.PARTITION, "LABEL=root"),
        LocalBoot(Find.PARTITION, "PARTUUID=4d0b5f4c-01", otherwise=Otherwise.RESCUE),
        LocalBoot(Find.LOOKING),
    ],
)
def test_a_local_plan_survives_the_wire(local: LocalBoot) -> None:
    plan = replace(PLAN, local=local)
    assert read(plan.to_json()) == plan


@pytest.mark.parametrize(
    "change",
    [
        {"find": "guessing"},
        {"find": "partition", "partition": ""},
        {"find": "partition", "partition": "/dev/sda1"},
        {"find": "partition", "partition": "LABEL=a b"},
        {"find": "mark", "partition": "LABEL=root"},
        {"otherwise": "format"},
        {"failures": 0},
    ],
)
def test_a_local_plan_that_means_nothing_is_refused_by_field(change: dict[str, Any]) -> None:
    told: Any = PLAN.to_json()
    with pytest.raises(FieldError, match="local"):
        read({**told, "local": {**told["local"], **change}})


def test_an_agent_that_does_not_list_local_refuses_such_a_plan_by_name() -> None:
    with pytest.raises(PlanError, match="requires local, mark"):
        check_plan(PLAN, REPORT, "card", trust_dhcp=True)


def test_every_agent_lists_local_and_mark() -> None:
    assert all({"local", "mark"} <= set(features) for features in FEATURES.values())
