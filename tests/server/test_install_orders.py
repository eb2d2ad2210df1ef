"""What people order for nodes, on the command line: previews, bulk, who is left out, and orders that are given once."""

import json
from pathlib import Path
from typing import Any

import pytest

from bootpilot_agent.plan import Action
from bootpilot_server.cli import main
from bootpilot_server.commands import order_commands, own_profile_command
from bootpilot_server.store import install_records, node_records
from tests.fakes.bench import Bench
from tests.fakes.installing_boards import FEATURES, Board, Running, World
from tests.fakes.installs import INSTALLER, install_rule
from tests.fakes.reports import make_report
from tests.fakes.site import profile


@pytest.fixture
def rack(bench: Bench) -> list[Board]:
    """Three boards that have asked once; a rule installs profile lamp on those that are approved."""
    bench.apply(profiles__lamp=INSTALLER, rules__lamp=install_rule("v1", priority=20), rules__lab=install_rule("v1"))
    boards = [Board(World(bench.server), number) for number in range(3)]
    for board in boards:
        board.power_on()
        board.ask()
    return boards


def node(bench: Bench, *words: str) -> int:
    return main(["--home", str(bench.server.config.home), "node", *words])


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def boots(board: Board) -> Any:
    board.power_on()
    return board.ask()


def complete(board: Board) -> str:
    """One whole install, and the start of its system."""
    plan = boots(board)
    assert plan.writes_disk, plan
    board.begin_install()
    board.wipe()
    board.finish()
    board.say_done()
    return str(plan.install_id)


def test_reinstall_by_name_approves_the_board_and_gives_it_one_install(bench: Bench, rack: list[Board]) -> None:
    assert boots(rack[0]).wait.reason == "not-approved"
    assert node(bench, "reinstall", rack[0].serial) == 0
    first = complete(rack[0])
    assert boots(rack[0]).action is Action.LOCAL
    assert node(bench, "reinstall", rack[0].serial) == 0
    assert complete(rack[0]) != first
    assert boots(rack[0]).action is Action.LOCAL
    assert boots(rack[1]).wait.reason == "not-approved"


def test_a_dry_run_tells_whom_it_would_hit_and_changes_nothing(
    bench: Bench, rack: list[Board], capsys: pytest.CaptureFixture[str]
) -> None:
    assert node(bench, "reinstall", "--where", "arch = arm64", "--dry-run") == 0
    assert capsys.readouterr().out.startswith("reinstall with profile lamp: 3 nodes\n")
    assert boots(rack[0]).wait.reason == "not-approved"


def test_more_nodes_than_twenty_must_be_confirmed(bench: Bench, rack: list[Board], capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3, 25):
        boots(Board(rack[0].world, number))
    assert node(bench, "hold", "--where", "arch = arm64") == 1
    assert "must be confirmed" in capsys.readouterr().err
    assert node(bench, "hold", "--where", "arch = arm64", "--yes", "--json") == 0
    assert len(told(capsys)["nodes"]) == 25


def test_whom_is_said_by_name_or_by_selector_and_never_by_neither(bench: Bench, rack: list[Board]) -> None:
    assert node(bench, "hold") == 2
    assert node(bench, "hold", rack[0].serial, "--where", "arch = arm64") == 2
    assert node(bench, "hold", "nobody") == 1


def test_of_several_nodes_all_are_changed_or_none(bench: Bench, rack: list[Board]) -> None:
    assert node(bench, "hold", rack[0].serial, "nobody") == 1
    assert boots(rack[0]).wait.reason == "not-approved"


@pytest.mark.parametrize(("command", "words"), [("hold", ()), ("profile", ("lamp",))])
def test_a_node_that_was_forgotten_while_a_person_read_the_preview_is_named_and_nothing_is_done(
    bench: Bench,
    rack: list[Board],
    command: str,
    words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def forget_one(*_: object) -> bool:
        return node(bench, "forget", "--yes", rack[1].serial) == 0

    for module in (order_commands, own_profile_command):
        monkeypatch.setattr(module, "is_meant", forget_one)
    meant = [board.serial for board in rack]
    assert node(bench, command, *meant, *words) == 1
    assert "is gone; nothing was done" in capsys.readouterr().err
    with bench.server.database.reading() as connection:
        left = node_records.list_nodes(connection, limit=9)
    assert [(record.hold, record.profile_override) for record in left] == [("", "")] * 2


def test_hold_says_why_and_release_ends_it(bench: Bench, rack: list[Board]) -> None:
    node(bench, "reinstall", rack[0].serial)
    complete(rack[0])
    assert node(bench, "hold", rack[0].serial, "--reason", "new fan\non Monday") == 0
    plan = boots(rack[0])
    assert (plan.wait.reason, "on hold: new fan\ufffdon Monday" in plan.wait.text) == ("on-hold", True)
    assert node(bench, "release", rack[0].serial) == 0
    assert boots(rack[0]).action is Action.LOCAL


def test_a_retired_node_waits_until_it_is_released(bench: Bench, rack: list[Board]) -> None:
    assert node(bench, "retire", rack[0].serial) == 0
    assert "retired" in boots(rack[0]).wait.text
    assert node(bench, "release", rack[0].serial) == 0
    assert boots(rack[0]).wait.reason == "not-approved"


@pytest.mark.parametrize("action", ["reboot", "poweroff"])
def test_reboot_and_poweroff_are_given_once(bench: Bench, rack: list[Board], action: str) -> None:
    assert node(bench, action, rack[0].serial) == 0
    plan = boots(rack[0])
    assert (plan.action, plan.writes_disk) == (action, False)
    assert boots(rack[0]).wait.reason == "not-approved"
    assert boots(rack[1]).wait.reason == "not-approved"


def test_an_order_whose_answer_is_lost_is_spent_all_the_same(bench: Bench, rack: list[Board]) -> None:
    node(bench, "poweroff", rack[0].serial)
    rack[0].power_on()
    rack[0].ask(is_lost=True)
    assert boots(rack[0]).wait.reason == "not-approved"


def test_an_order_that_nobody_asked_for_within_a_day_is_over(bench: Bench, rack: list[Board]) -> None:
    node(bench, "poweroff", rack[0].serial)
    with bench.server.database.reading() as connection:
        given_at = max(entry.at for entry in node_records.list_history(connection, find(bench, rack[0])))
    rack[0].world.now = given_at + 86_401
    assert boots(rack[0]).wait.reason == "not-approved"


def find(bench: Bench, board: Board) -> str:
    with bench.server.database.reading() as connection:
        return node_records.search_nodes(connection, board.serial)[0].id


def test_local_and_rescue_stand_until_they_are_released(bench: Bench, rack: list[Board]) -> None:
    assert node(bench, "rescue", rack[0].serial, "--profile", "ram-page") == 0
    plan = boots(rack[0])
    assert (plan.boot.profile, plan.writes_disk) == ("ram-page", False)
    assert boots(rack[0]).boot.profile == "ram-page"
    assert node(bench, "local", rack[0].serial) == 0
    plan = boots(rack[0])
    assert (plan.action, plan.local.find) == (Action.LOCAL, "looking")
    assert node(bench, "release", rack[0].serial) == 0
    assert boots(rack[0]).wait.reason == "not-approved"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("rescue", "--profile", "lamp"), "profile lamp writes a disk"),
        (("rescue",), "there is no profile rescue in revision 1"),
        (("reinstall", "--profile", "ram-page"), "profile ram-page writes no disk"),
        (("reinstall", "--profile", "nothing"), "there is no profile nothing"),
    ],
)
def test_a_profile_that_cannot_do_it_is_refused_by_name(
    bench: Bench, rack: list[Board], words: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert node(bench, words[0], rack[0].serial, *words[1:]) == 1
    assert complaint in capsys.readouterr().err


def test_where_no_rule_installs_a_profile_must_be_named(
    bench: Bench, rack: list[Board], capsys: pytest.CaptureFixture[str]
) -> None:
    bench.apply(profiles__lamp=INSTALLER, rules__lamp='priority = 1\nprofile = "ram-page"\n', rules__lab=RAM_RULE)
    assert node(bench, "reinstall", rack[0].serial) == 1
    assert "name one with --profile" in capsys.readouterr().err
    assert node(bench, "reinstall", rack[0].serial, "--profile", "lamp") == 0
    complete(rack[0])
    assert boots(rack[0]).action is Action.LOCAL


RAM_RULE = 'priority = 10\nprofile = "ram-page"\nadmit = true\n'


def test_an_adopted_node_is_reinstalled_by_name_and_by_no_selector(
    bench: Bench, rack: list[Board], capsys: pytest.CaptureFixture[str]
) -> None:
    node(bench, "reinstall", rack[0].serial)
    complete(rack[0])
    node(bench, "forget", rack[0].serial, "--yes")
    assert boots(rack[0]).action is Action.LOCAL
    capsys.readouterr()
    assert node(bench, "reinstall", "--where", "arch = arm64", "--yes", "--json") == 0
    assert find(bench, rack[0]) in told(capsys)["left_out"]
    assert boots(rack[0]).action is Action.LOCAL
    assert node(bench, "reinstall", rack[0].serial) == 0
    assert boots(rack[0]).writes_disk


def test_who_ordered_what_stands_in_the_history(bench: Bench, rack: list[Board]) -> None:
    node(bench, "reinstall", rack[0].serial, "--as", "Irina")
    with bench.server.database.reading() as connection:
        node_id = find(bench, rack[0])
        texts = [entry.text for entry in node_records.list_history(connection, node_id)]
        (install_id,) = install_records.installs_of(connection, node_id)
    assert f"ordered by Irina: reinstall with profile lamp: install {install_id}" in texts


def test_a_contradiction_cannot_be_ordered_about(bench: Bench, rack: list[Board], capsys: pytest.CaptureFixture[str]) -> None:
    report = make_report(evidence=(), features=FEATURES)
    plan = bench.plan(report)
    assert node(bench, "reinstall", plan.node_id) == 1
    assert "stands for a contradiction" in capsys.readouterr().err
    assert rack[0].running is Running.AGENT


def test_every_order_explains_itself(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for verb in ("reinstall", "rescue", "local", "hold", "release", "retire", "reboot", "poweroff"):
        with pytest.raises(SystemExit, match="0"):
            main(["--home", str(tmp_path), "node", verb, "--help"])
        assert "--where" in capsys.readouterr().out


RULES = {"rules__lamp": install_rule("v1", priority=5), "rules__lab": 'priority = 10\nprofile = "ram-page"\n'}


def test_a_board_installed_by_order_starts_its_disk_until_it_is_to_follow_the_rules(bench: Bench, rack: list[Board]) -> None:
    bench.apply(profiles__lamp=INSTALLER, **RULES)
    assert node(bench, "reinstall", rack[0].serial, "--profile", "lamp") == 0
    complete(rack[0])
    assert boots(rack[0]).action is Action.LOCAL
    assert node(bench, "release", rack[0].serial) == 0
    assert boots(rack[0]).action is Action.LOCAL
    assert node(bench, "follow-rules", rack[0].serial) == 0
    assert boots(rack[0]).boot.profile == "ram-page"
    bench.apply(profiles__lamp=INSTALLER, rules__lamp=RULES["rules__lamp"], rules__lab='priority = 1\nprofile = "ram-page"\n')
    assert boots(rack[0]).install_id


def test_following_the_rules_makes_no_install_again_that_the_order_came_after(bench: Bench, rack: list[Board]) -> None:
    assert node(bench, "reinstall", rack[0].serial) == 0
    complete(rack[0])
    assert node(bench, "follow-rules", rack[0].serial) == 0
    assert boots(rack[0]).action is Action.LOCAL
    assert boots(rack[0]).action is Action.LOCAL


def test_an_order_that_is_not_done_is_taken_back_and_the_rules_install_counts_again(bench: Bench, rack: list[Board]) -> None:
    assert node(bench, "reinstall", rack[0].serial) == 0
    ordered = boots(rack[0]).install_id
    assert node(bench, "follow-rules", rack[0].serial) == 0
    by_rule = boots(rack[0])
    assert by_rule.writes_disk
    assert by_rule.install_id != ordered
    assert complete(rack[0]) == by_rule.install_id
    assert boots(rack[0]).action is Action.LOCAL


def test_an_order_taken_back_before_it_began_leaves_the_system_on_the_disk(bench: Bench, rack: list[Board]) -> None:
    assert main(["--home", str(bench.server.config.home), "approve", rack[0].serial]) == 0
    complete(rack[0])
    assert node(bench, "reinstall", rack[0].serial) == 0
    assert node(bench, "follow-rules", rack[0].serial) == 0
    assert boots(rack[0]).action is Action.LOCAL


@pytest.mark.parametrize("order", ["local", "rescue"])
def test_following_the_rules_ends_standing_orders_and_no_hold(bench: Bench, rack: list[Board], order: str) -> None:
    bench.apply(profiles__rescue=profile(), profiles__lamp=INSTALLER, **RULES)
    assert main(["--home", str(bench.server.config.home), "approve", rack[0].serial]) == 0
    assert node(bench, order, rack[0].serial) == 0
    assert node(bench, "hold", rack[0].serial) == 0
    assert node(bench, "follow-rules", rack[0].serial) == 0
    assert boots(rack[0]).wait.reason == "on-hold"
    assert node(bench, "release", rack[0].serial) == 0
    assert boots(rack[0]).boot.profile == "ram-page"
