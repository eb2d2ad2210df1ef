"""Installs as people see them while they run and ever after: progress, stages, how long they took, their logs."""

import json
from typing import Any

import pytest

from bootpilot_agent.plan import Plan
from bootpilot_server.deciding.boot_state import installing_text
from tests.fakes.bench import Bench, bearer
from tests.fakes.images import install_profile, plan_of, put_in_force
from tests.fakes.installing_boards import FEATURES
from tests.fakes.reports import make_report
from tests.fakes.server_process import bootpilot

STAGES = ("guard", "unmarked", "partitioned", "formatted")


@pytest.fixture
def plan(bench: Bench) -> Plan:
    """Of a board whose installer has begun."""
    put_in_force(bench, install_profile())
    plan = plan_of(bench)
    assert plan.writes_disk
    bench.send_event(plan, "handover", 9)
    for seq, stage in enumerate(STAGES):
        bench.send_event(plan, "installing", seq, "installer", stage=stage)
    return plan


def writing(bench: Bench, plan: Plan, done: object, total: object, seq: int = 10) -> None:
    sent = bench.send_event(plan, "installing", seq, "installer", stage="writing", bytes=done, total_bytes=total)
    assert sent.status_code == 200


def finish(bench: Bench, plan: Plan) -> None:
    bench.send_event(plan, "installed", 99, "installer")
    assert bench.send(plan, "done", {"install_id": plan.install_id}).status_code == 200


def send_log(bench: Bench, plan: Plan, text: bytes, offset: int = 0) -> None:
    url = f"/v1/boots/{plan.boot_id}/log?source=installer&offset={offset}"
    assert bench.client.post(url, data=text, headers=bearer(plan.token)).status_code == 200


def shown(bench: Bench, plan: Plan) -> Any:
    return json.loads(bootpilot(bench.server.config.home, "--json", "node", "show", plan.node_id).stdout)


def test_progress_stands_on_the_page_and_in_node_show(bench: Bench, plan: Plan) -> None:
    writing(bench, plan, 450, 1000)
    told = shown(bench, plan)
    assert (told["state"], told["text"], told["percent"]) == ("installing", "installing with lamp: writing 45 %", 45)
    page = bench.client.get(f"/nodes/{plan.node_id}").text
    assert "installing 45%" in page
    assert '<progress max="100" value="45">' in page
    assert "guard, unmarked, partitioned, formatted, writing 45 %" in page
    assert "installing 45%" in bench.client.get("/").text


def test_the_last_word_of_a_stage_counts(bench: Bench, plan: Plan) -> None:
    for seq, done in ((10, 100), (11, 900), (12, 1000)):
        writing(bench, plan, done, 1000, seq)
    bench.send_event(plan, "installing", 13, "installer", stage="written")
    (run,) = shown(bench, plan)["installs"][0]["boots"]
    assert run["stages"] == [*STAGES, "writing 100 %", "written"]
    assert run["written_bytes"] == 1000


WORDS = [
    ({"stage": "writing", "bytes": 5, "total_bytes": 10}, "writing 50 %"),
    ({"stage": "writing", "bytes": 50, "total_bytes": 10}, "writing 100 %"),
    ({"stage": "writing", "bytes": 3_000_000}, "writing 3 MB"),
    ({"stage": "writing", "bytes": -1, "total_bytes": "x"}, "writing"),
    ({"stage": True, "bytes": True}, "True"),
    ({"stage": ["a", "b"]}, "['a', 'b']"),
    ({}, ""),
    ({"stage": "a\n\x1b[2J<b>\ud800" + "x" * 99}, "a\ufffd\ufffd[2J<b>?" + "x" * 50),
]


@pytest.mark.parametrize(("data", "told"), WORDS)
def test_whatever_an_installer_says_of_a_stage_is_one_short_line(data: Any, told: str) -> None:
    assert installing_text(data)[0] == told


def test_markup_in_a_stage_stays_text_on_the_page(bench: Bench, plan: Plan) -> None:
    bench.send_event(plan, "installing", 50, "installer", stage="<script>alert(1)</script>")
    page = bench.client.get(f"/nodes/{plan.node_id}").text
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_an_installer_that_speaks_does_not_get_more_time_than_its_profile_says(bench: Bench, plan: Plan) -> None:
    writing(bench, plan, 450, 1000)
    with bench.server.database.writing() as connection:
        connection.exec_driver_sql("UPDATE boots SET handover_at = handover_at - 3001")
    told = shown(bench, plan)
    assert told["state"] == "install overdue"
    assert told["text"].endswith("that the install is done; the last that was heard: writing 45 %")
    finish(bench, plan)
    assert shown(bench, plan)["state"] == "installed"


def test_each_attempt_is_kept_with_its_own_stages_and_log(bench: Bench, plan: Plan) -> None:
    send_log(bench, plan, b"first try\n")
    bench.send(plan, "failed", {"why": "the disk is full"})
    second = bench.plan(make_report(features=FEATURES))
    assert second.install_id == plan.install_id
    bench.send_event(second, "handover", 9)
    bench.send_event(second, "installing", 1, "installer", stage="guard")
    send_log(bench, second, b"==> /var/log/syslog <==\nsecond try\n")
    finish(bench, second)
    (install,) = shown(bench, second)["installs"]
    assert [(run["state"], run["stages"], run["log"]) for run in install["boots"]] == [
        ("installed", ["guard"], True),
        ("failed", list(STAGES), True),
    ]
    home = bench.server.config.home
    text = bootpilot(home, "node", "show", plan.node_id).stdout
    assert f"bootpilot log {plan.boot_id} --source installer" in text
    assert bootpilot(home, "log", plan.boot_id, "--source", "installer").stdout == "first try\n"


def test_the_log_of_the_last_install_is_found_by_the_node_however_often_it_booted_since(bench: Bench, plan: Plan) -> None:
    send_log(bench, plan, b"it went well\n")
    finish(bench, plan)
    for _ in range(60):
        later = bench.plan(make_report(features=FEATURES))
        assert later.local is not None
    home = bench.server.config.home
    assert bootpilot(home, "log", plan.node_id, "--source", "installer").stdout == "it went well\n"
    assert bootpilot(home, "log", plan.node_id, "--source", "system").returncode == 1
    page = bench.client.get(f"/nodes/{plan.node_id}").text
    link = f"/boots/{plan.boot_id}/log/installer"
    assert link in page
    assert bench.client.get(link).data == b"it went well\n"
