"""Boards that started their own disk while no server answered tell of it afterwards; nothing is used up by that."""

import json
import uuid
from dataclasses import replace

import pytest

from bootpilot_agent.plan import BY_ITSELF, Action, Plan, Report
from bootpilot_server.asking import ordering
from bootpilot_server.asking.answer import Question, answer
from bootpilot_server.asking.boot_channel import take_events
from bootpilot_server.asking.token_check import require_token
from bootpilot_server.deciding.install_facts import InstallState
from bootpilot_server.deciding.moments import moment
from bootpilot_server.errors import ProblemError
from tests.fakes.bench import Bench
from tests.fakes.installing_boards import Board
from tests.fakes.installs import Site, mark_of
from tests.fakes.reports import body_of
from tests.fakes.server_process import bootpilot


@pytest.fixture
def site(bench: Bench) -> Site:
    """An installed board whose disk was started once by the server's word."""
    site = Site(bench)
    site.install()
    assert site.plan().action is Action.LOCAL
    return site


def own_boot(board: Board) -> Report:
    """The agent's report.json of a boot that no server heard of."""
    board.power_on()
    return replace(board.report(), booted=BY_ITSELF)


def tell(site: Site, report: Report, later_s: float = 0.0) -> Plan:
    """As the installed system does it: without a token."""
    raw = answer(site.bench.server, Question(body_of(report), "", "10.0.0.7", site.world.now + later_s))
    return Plan.from_json(raw, report.arch)


def test_a_boot_without_a_server_is_written_down_and_shown(site: Site) -> None:
    plan = tell(site, own_boot(site.board))
    assert (plan.action, plan.install_id) == (Action.LOCAL, site.board.mark and site.board.mark.install_id)
    event = {"source": "system", "seq": 1, "name": "payload-up", "at_ms": 3_600_000, "data": {}}
    with site.bench.server.database.writing() as connection:
        boot = require_token(site.bench.server, connection, plan.boot_id, plan.token, site.world.now)
        take_events(connection, boot, json.dumps({"version": 1, "events": [event]}).encode(), site.world.now)
    came_up = moment(site.world.now - 3600)
    assert f"booted its disk by itself at {came_up}" in site.bench.client.get(f"/nodes/{plan.node_id}").text
    shown = bootpilot(site.bench.server.config.home, "node", "show", plan.node_id).stdout
    assert f"booted its disk by itself at {came_up}" in shown
    assert site.texts_of_history()[0].startswith("started install ")


def test_its_answer_may_be_lost_for_days_and_the_same_bytes_are_answered_again(site: Site) -> None:
    report = own_boot(site.board)
    assert tell(site, report) == tell(site, report, later_s=5 * 86400.0)


def test_a_changed_body_under_the_same_nonce_is_refused_as_ever(site: Site) -> None:
    report = own_boot(site.board)
    tell(site, report)
    with pytest.raises(ProblemError, match="already used with another report"):
        tell(site, replace(report, clock_unix_s=7))


def test_an_order_to_reboot_waits_for_a_board_that_asks(site: Site) -> None:
    site.order(ordering.give_once, Action.REBOOT)
    assert tell(site, own_boot(site.board)).action is Action.LOCAL
    assert site.plan().action is Action.REBOOT


def test_a_reinstall_that_is_wanted_is_neither_begun_nor_counted(site: Site) -> None:
    ordered = str(site.order(ordering.reinstall, "lamp"))
    told = tell(site, own_boot(site.board))
    assert (told.action, told.writes_disk) == (Action.LOCAL, False)
    wanted = site.installs()[ordered]
    assert (wanted.state, wanted.takes, wanted.attempts) == (InstallState.WANTED, 0, 0)
    assert site.plan().writes_disk


def test_it_ends_the_failures_in_a_row_of_the_disk(site: Site) -> None:
    for _ in range(2):
        site.board.mark, mark = None, site.board.mark
        site.plan()
        site.board.mark = mark
    (done,) = [facts for facts in site.installs().values() if facts.state is InstallState.DONE]
    assert done.local_failures == 1
    tell(site, own_boot(site.board))
    site.plan()
    (done,) = [facts for facts in site.installs().values() if facts.state is InstallState.DONE]
    assert done.local_failures == 0


def test_a_lost_done_is_made_good_by_the_mark_in_such_a_report(bench: Bench) -> None:
    site = Site(bench)
    plan = site.plan()
    site.board.begin_install()
    site.board.wipe()
    site.board.finish()
    tell(site, own_boot(site.board))
    assert site.installs()[str(plan.install_id)].state is InstallState.DONE


def test_a_board_that_this_database_does_not_know_is_adopted_by_it(site: Site) -> None:
    former = site.node_id
    site.lose_database()
    told = tell(site, own_boot(site.board))
    assert (told.action, told.node_id) == (Action.LOCAL, former)
    assert any(text.startswith("adopted: its disk carries install ") for text in site.texts_of_history())
    assert site.plan().action is Action.LOCAL


def test_the_disk_of_another_board_is_a_contradiction_here_too(site: Site) -> None:
    other = Board(site.world, 2)
    other.mark = replace(mark_of(site.board, str(uuid.uuid4())), node_id=site.node_id)
    told = tell(site, own_boot(other))
    assert told.wait is not None
    assert told.wait.reason == "conflict"


@pytest.mark.parametrize("said", ["card", "", 1, ["disk"]])
def test_a_report_that_says_it_booted_something_else_is_refused(site: Site, said: object) -> None:
    body = json.loads(body_of(own_boot(site.board))) | {"booted": said}
    response = site.bench.client.post("/v1/boot", data=json.dumps(body).encode())
    assert response.status_code == 400
    assert "booted" in response.text
