"""What happened on boards, and which did not come back, from the command line."""

import json
import time
from pathlib import Path

import pytest
from sqlalchemy import update

from bootpilot_server.commands.moments import read_moment
from bootpilot_server.deciding.moments import moment
from bootpilot_server.errors import OperatorError
from bootpilot_server.store import schema
from tests.fakes.bench import Bench
from tests.fakes.reports import make_report, serial
from tests.fakes.server_process import bootpilot

NOW = 1_793_000_000.0


def home_of(bench: Bench) -> Path:
    return bench.server.config.home


def test_moments_are_read_in_utc_and_as_spans() -> None:
    assert read_moment("2h", NOW) == NOW - 7200
    assert read_moment("3d", NOW) == NOW - 3 * 86_400
    assert moment(read_moment("2026-11-01", NOW)) == "2026-11-01 00:00:00 UTC"
    assert moment(read_moment("2026-11-01T06:30", NOW)) == "2026-11-01 06:30:00 UTC"
    assert moment(read_moment("2026-11-01T06:30:00+01:00", NOW)) == "2026-11-01 05:30:00 UTC"
    for wrong in ("", "2", "h", "2 h", "-2h", "yesterday", "2026-13-01", "9999999h", "٢h"):
        with pytest.raises(OperatorError, match="is no time"):
            read_moment(wrong, NOW)


def test_nodes_that_did_not_come_back_are_listed_longest_missing_first(bench: Bench) -> None:
    bench.apply()
    now = time.time()
    for number, ago_s in ((1, 3 * 3600), (2, 5 * 3600), (3, 60), (4, 4 * 3600), (5, 6 * 3600)):
        plan = bench.plan(make_report(evidence=serial(f"100000000000000{number}")))
        with bench.server.database.writing() as connection:
            own = schema.nodes.c.id == plan.node_id
            retired_at = now if number == 5 else None
            connection.execute(update(schema.nodes).where(own).values(last_seen_at=now - ago_s, retired_at=retired_at))
        if number == 4:
            # It asked before, and what it booted spoke since.
            assert bench.send_event(plan, "payload-up", source="payload").status_code == 200
    done = bootpilot(home_of(bench), "--json", "node", "missing", "--since", "2h")
    assert done.returncode == 1, done.stderr
    assert [node["serial"] for node in json.loads(done.stdout)] == ["1000000000000002", "1000000000000001"]
    text = bootpilot(home_of(bench), "node", "missing", "--since", "2h").stdout
    assert "2 nodes were not heard of since" in text
    assert text.count(" UTC") == 3
    assert bootpilot(home_of(bench), "node", "missing", "--since", "2020-01-01").returncode == 0
    assert "is in the future" in bootpilot(home_of(bench), "node", "missing", "--since", "2099-01-01").stderr


def test_the_events_of_a_boot_are_told_in_order_with_the_servers_own(bench: Bench) -> None:
    bench.apply()
    plan = bench.plan()
    bench.send_event(plan, "planned", 1)
    bench.send_event(plan, "failed", 2, stage="fetch", message="it \x1b[31mbroke\n")
    for name in (plan.boot_id, plan.node_id[:8]):
        done = bootpilot(home_of(bench), "events", name)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert lines[0].startswith(f"boot {plan.boot_id} of node {plan.node_id}, begun ")
        assert [line.split()[3] for line in lines[2:]].count("server") >= 1
        assert lines[-2].split()[3:6] == ["agent", "1.001", "planned"]
        assert "\x1b" not in done.stdout
        assert all(" UTC " in line for line in lines[2:])
    told = json.loads(bootpilot(home_of(bench), "--json", "events", plan.boot_id).stdout)
    assert [event["name"] for event in told["events"] if event["source"] == "agent"] == ["planned", "failed"]
    assert bootpilot(home_of(bench), "events", "00000000-0000-4000-8000-000000000000").returncode == 1


def test_a_log_is_shown_harmlessly_or_as_it_came(bench: Bench) -> None:
    bench.apply()
    plan = bench.plan()
    assert "has no log" in bootpilot(home_of(bench), "log", plan.boot_id).stderr
    bench.send(plan, "log?source=agent&offset=0", b"first\r\nsecond \x1b]0;title\x07\xff\n")
    done = bootpilot(home_of(bench), "log", plan.node_id)
    assert done.stdout.splitlines()[0] == "first"
    assert "\x1b" not in done.stdout
    assert bootpilot(home_of(bench), "log", plan.boot_id, "--source", "payload").returncode == 1
    bench.send(plan, "log?source=payload&offset=0", b"up\n")
    both = bootpilot(home_of(bench), "log", plan.boot_id).stdout
    assert "== agent ==\nfirst\n" in both
    assert both.endswith("== payload ==\nup\n")
    assert bootpilot(home_of(bench), "log", plan.boot_id, "--source", "payload").stdout == "up\n"
    assert bootpilot(home_of(bench), "log", plan.boot_id, "--source", "payload", "--raw").stdout == "up\n"
