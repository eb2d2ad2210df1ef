"""Rollouts as people meet them: the pages, and one that is driven over real sockets by a server that is killed in between."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from bootpilot_agent.plan import Plan
from tests.fakes.bench import Bench
from tests.fakes.reports import body_of, make_report, serial
from tests.fakes.rollout_boards import OLD_RULE, SITE, Grid, make_grid
from tests.fakes.server_process import RunningServer, bootpilot, running_server

Output = pytest.CaptureFixture[str]
TIMEOUT_S = 60


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[Grid]:
    yield from make_grid(tmp_path, 3)


def test_a_rollout_has_a_page_and_its_nodes_name_it(grid: Grid, capsys: Output) -> None:
    client = grid.bench.client
    assert "There was no rollout yet" in client.get("/rollouts").text
    words = ("--where", "arch = arm64", "--profile", "new", "--wave", "2,rest", "--as", "<b>i")
    assert grid.run("rollout", "create", "autumn", *words) == 0
    failed, well, _ = grid.boards[:3]
    assert [board.boot() for board in (failed, well)] == ["new", "new"]
    failed.fail()
    well.come_up()
    assert failed.plan is not None
    assert well.plan is not None
    listed, page = client.get("/rollouts").text, client.get("/rollouts/autumn").text
    assert '<a href="/rollouts/autumn">autumn</a>' in listed
    for word in (
        "2: 1 well, 1 failed",
        "no space left on the disk",
        f"/nodes/{failed.plan.node_id}",
        "<code>arch",
        "&lt;b&gt;i",
    ):
        assert word in page
    # Failed nodes come first.
    assert page.index(failed.plan.node_id) < page.index(well.plan.node_id)
    node_page = client.get(f"/nodes/{well.plan.node_id}").text
    assert '<a href="/rollouts/autumn">autumn</a>, wave 1: well' in node_page
    assert 'rollout <a href="/rollouts/autumn">autumn</a>' in client.get("/").text
    capsys.readouterr()
    assert grid.run("node", "show", failed.plan.node_id) == 0
    assert "autumn  wave 1  failed: no space left on the disk" in capsys.readouterr().out
    assert grid.run("node", "list", "--json") == 0
    assert sorted(one["rollout"] for one in json.loads(capsys.readouterr().out))[-2:] == ["autumn", "autumn"]
    assert client.get("/rollouts/winter").status_code == 404


def boot(server: RunningServer, number: int) -> Plan:
    """One board asks."""
    report = make_report(evidence=serial(f"10000000ab{number:06x}"))
    answer = requests.post(f"{server.url}/v1/boot", data=body_of(report), timeout=TIMEOUT_S)
    assert answer.status_code == 200, answer.text
    return Plan.from_json(answer.content, report.arch)


def profile_of(plan: Plan) -> str:
    return plan.boot.profile if plan.boot else "none"


def tell(server: RunningServer, plan: Plan, path: str, body: dict[str, object]) -> None:
    headers = {"Authorization": f"Bearer {plan.token}"}
    url = f"{server.url}/v1/boots/{plan.boot_id}/{path}"
    assert requests.post(url, json=body, headers=headers, timeout=TIMEOUT_S).status_code == 200


def come_up(server: RunningServer, plan: Plan) -> None:
    handover = {"source": "agent", "seq": 5, "name": "handover", "at_ms": 1}
    tell(server, plan, "events", {"version": 1, "events": [handover]})
    tell(server, plan, "events", {"version": 1, "events": [{**handover, "source": "payload", "name": "payload-up"}]})


def test_a_rollout_over_real_sockets_outlives_its_server_and_stops_where_it_must(bench: Bench) -> None:
    bench.apply(**SITE, rules__lab=OLD_RULE)
    home = bench.server.config.home
    with running_server(home) as server:
        for number in range(4):
            assert boot(server, number).wait is not None
        assert bootpilot(home, "approve", "--where", "arch = arm64").returncode == 0
        words = ("--where", "arch = arm64", "--profile", "new", "--wave", "1,2,rest", "--stop-at", "1")
        begun = bootpilot(home, "rollout", "create", "autumn", *words)
        assert (begun.returncode, begun.stdout) == (0, "rollout autumn: 4 nodes get profile new, first 1\n"), begun.stderr
        first = boot(server, 0)
        assert [profile_of(first), profile_of(boot(server, 1))] == ["new", "old"]
        server.process.kill()
        server.process.wait()
    with running_server(home) as server:
        # The first wave is not settled yet; what the board says to the new server settles it.
        assert profile_of(boot(server, 1)) == "old"
        come_up(server, first)
        second, third, fourth = (boot(server, number) for number in (1, 2, 3))
        assert [profile_of(plan) for plan in (second, third, fourth)] == ["new", "new", "old"]
        come_up(server, second)
        tell(server, third, "failed", {"why": "no memory"})
        assert [profile_of(boot(server, number)) for number in (0, 1, 3)] == ["new", "new", "old"]
        shown = json.loads(bootpilot(home, "rollout", "show", "autumn", "--json").stdout)
        assert (shown["state"], shown["wave"], shown["well"], shown["failed"]) == ("stopped", 2, 2, 1)
        assert shown["failed_nodes"] == [{"node_id": third.node_id, "why": "no memory"}]
        assert "stopped" in requests.get(f"{server.url}/rollouts/autumn", timeout=TIMEOUT_S).text
        resumed = bootpilot(home, "rollout", "resume", "autumn")
        assert (resumed.returncode, resumed.stdout) == (1, "")
        assert "would stop again at once: 1 of 3 nodes failed" in resumed.stderr
        assert "--stop-at" in resumed.stderr
        assert bootpilot(home, "rollout", "abort", "autumn", "--back").returncode == 0
        assert [profile_of(boot(server, number)) for number in range(4)] == ["old"] * 4
