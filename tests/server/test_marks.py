"""What a disk says by its mark, or by not starting: adoption, other boards' disks, the loss of a database."""

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bootpilot_agent.plan import Action, Plan
from bootpilot_server.asking import ordering
from bootpilot_server.config import Config
from bootpilot_server.deciding.install_facts import InstallState, rule_install_id
from bootpilot_server.server import open_server
from bootpilot_server.store import node_records
from tests.fakes.bench import Bench, make_bench
from tests.fakes.installing_boards import Board
from tests.fakes.installs import INSTALLER, Site, ask_from_power_on, board_uuid, install_rule, installer, mark_of, reason, text

MEMORY = Path("/dev/shm")  # noqa: S108 (a folder of its own is made there)


@pytest.fixture
def site(bench: Bench) -> Site:
    return Site(bench)


def test_an_unknown_mark_makes_the_board_adopted_and_gives_it_its_id_back(site: Site) -> None:
    site.order(ordering.reinstall, "lamp")
    site.install()
    node_id = site.node_id
    site.lose_database()
    plan = site.plan()
    assert (plan.action, plan.node_id) == (Action.LOCAL, node_id)
    assert "adopted: its disk carries install" in site.texts_of_history()[0] + site.texts_of_history()[1]


def test_an_adopted_board_gets_its_disk_and_nothing_else_whatever_rules_say(site: Site) -> None:
    site.order(ordering.reinstall, "lamp")
    site.install()
    site.lose_database()
    for key in ("v1", "v2", "v3"):
        site.bench.apply(**site.texts | {"rules__lab": install_rule(key).replace("profile", "admit = true\nprofile", 1)})
        assert site.plan().action is Action.LOCAL


def test_approval_of_an_adopted_board_by_name_does_not_by_itself_overwrite_its_disk(site: Site) -> None:
    site.order(ordering.reinstall, "lamp")
    site.install()
    site.lose_database()
    site.plan()
    site.approve()
    assert site.plan().action is Action.LOCAL
    site.bench.apply(**site.texts | {"rules__lab": install_rule("v2")})
    assert site.plan().writes_disk


def test_nor_does_it_where_the_folder_is_put_in_force_only_after_the_approval(site: Site) -> None:
    site.order(ordering.reinstall, "lamp")
    site.install()
    texts, site.texts = site.texts, {"rules__lab": install_rule("v1").replace("arm64", "armhf"), "profiles__lamp": INSTALLER}
    site.lose_database()
    site.plan()
    site.approve()
    site.bench.apply(**texts)
    assert site.plan().action is Action.LOCAL
    site.bench.apply(**texts | {"rules__lab": install_rule("v2")})
    assert site.plan().writes_disk


def test_an_adopted_board_is_reinstalled_by_name(site: Site) -> None:
    site.install()
    site.lose_database()
    site.plan()
    ordered = site.order(ordering.reinstall, "lamp")
    assert site.install() == ordered
    assert site.plan().action is Action.LOCAL


def test_a_wish_of_an_old_database_does_not_overwrite_a_newer_system(site: Site) -> None:
    """Put back from a week ago: an order is open that was carried out long since, and so was the one after it."""
    old = site.order(ordering.reinstall, "lamp")
    home = site.bench.server.config.home
    site.bench.server.database.close()
    week_ago = (home / "state.sqlite").read_bytes()
    site.world.server = site.bench.server = open_server(Config(home), create=False)
    assert site.install() == old
    site.order(ordering.reinstall, "lamp")
    site.install()
    site.bench.server.database.close()
    (home / "state.sqlite").write_bytes(week_ago)
    site.world.server = site.bench.server = open_server(Config(home), create=False)
    assert site.plan().action is Action.LOCAL
    assert site.installs()[old].state is InstallState.SUPERSEDED
    assert any(f"set aside: {old}" in entry for entry in site.texts_of_history())


def test_above_the_limit_of_waiting_boards_an_adopted_one_gets_its_disk_without_a_record(bench: Bench) -> None:
    site = Site(bench)
    site.install()
    config = replace(bench.server.config, max_waiting_nodes=0)
    site.lose_database()
    site.bench.server.database.close()
    site.world.server = site.bench.server = open_server(config, create=False)
    assert site.plan().action is Action.LOCAL
    with site.bench.server.database.reading() as connection:
        assert node_records.count_nodes(connection) == 0


def test_the_mark_of_another_board_is_a_conflict_and_nothing_is_written(site: Site) -> None:
    site.install()
    stranger = Board(site.world, 2, mark=site.board.mark)
    plan = ask_from_power_on(stranger)
    assert reason(plan) == "conflict"
    with site.bench.server.database.writing() as connection:
        node_records.approve_node(connection, plan.node_id, site.world.now)
    plan = ask_from_power_on(stranger)
    assert (reason(plan), site.node_id in text(plan)) == ("conflict", True)


def test_the_mark_of_another_board_is_a_conflict_even_after_the_database_was_lost(site: Site) -> None:
    site.install()
    node_id = site.node_id
    stranger = Board(site.world, 2, mark=site.board.mark)
    site.lose_database()
    plan = ask_from_power_on(stranger)
    assert (reason(plan), plan.node_id != node_id) == ("conflict", True)


def test_a_board_whose_disk_came_late_is_known_by_its_mark_later(site: Site) -> None:
    """After the loss of the database it asks before its disk is there, and so gets a new id; the disk is no stranger's."""
    site.install()
    mark = site.board.mark
    site.lose_database()
    site.board.mark = None
    assert reason(site.plan()) == "not-approved"
    site.board.mark = mark
    assert site.plan().action is Action.LOCAL


def test_a_mark_on_the_card_does_not_count(site: Site) -> None:
    site.board.mark = mark_of(site.board, str(uuid.uuid4()))
    site.board.power_on()
    report = site.board.report()
    disks = tuple(replace(disk, boot_medium=True) for disk in report.inventory.disks)
    plan = site.bench.plan(replace(report, inventory=replace(report.inventory, disks=disks)))
    assert plan.writes_disk


def test_an_install_that_the_server_cannot_give_does_not_keep_a_healthy_disk_down(site: Site) -> None:
    site.install()
    ordered = site.order(ordering.reinstall, "a-profile-that-is-gone")
    plan = site.plan()
    assert (plan.action, plan.install_id != ordered) == (Action.LOCAL, True)
    site.board.mark = None
    assert reason(site.plan()) == "no-usable-plan"


# Disks that do not start.


def start_and_fail(site: Site) -> Plan:
    """The agent finds nothing bootable."""
    site.board.mark = None
    return site.plan()


@pytest.mark.parametrize(
    ("local", "outcome"),
    [("", "wait"), ('otherwise = "reinstall"', "reinstall"), ('otherwise = "rescue"\nrescue = "ram-page"', "rescue")],
)
def test_a_disk_that_does_not_start_three_times_ends_as_the_profile_says(bench: Bench, local: str, outcome: str) -> None:
    site = Site(bench, profiles__lamp=installer(local=local))
    first = site.install()
    for _ in range(3):
        plan = start_and_fail(site)
        assert plan.action is Action.LOCAL
    plan = site.plan()
    if outcome == "wait":
        assert (reason(plan), "did not start from the disk 3 times" in text(plan)) == ("on-hold", True)
        site.order(ordering.release)
        assert site.plan().action is Action.LOCAL
    elif outcome == "rescue":
        assert plan.boot is not None
        assert (plan.boot.profile, plan.writes_disk) == ("ram-page", False)
    else:
        assert (plan.writes_disk, plan.install_id != first) == (True, True)


def test_an_automatic_reinstall_is_made_once(bench: Bench) -> None:
    site = Site(bench, profiles__lamp=installer(local='otherwise = "reinstall"'))
    site.install()
    for _ in range(3):
        start_and_fail(site)
    again = site.install()
    assert site.plan().install_id == again
    for _ in range(3):
        assert start_and_fail(site).action is Action.LOCAL
    plan = site.plan()
    assert reason(plan) == "on-hold"
    assert f"install {again} did not start" in text(plan)


def test_one_good_start_forgets_the_failed_ones(site: Site) -> None:
    site.install()
    mark = site.board.mark
    for _ in range(2):
        start_and_fail(site)
    site.board.mark = mark
    for _ in range(2):
        assert site.plan().action is Action.LOCAL
    assert [facts.local_failures for facts in site.installs().values()] == [0]


# A database is lost, and a thousand boards ask.


@pytest.fixture
def bench_in_memory(tmp_path: Path) -> Iterator[Bench]:
    """A thousand answers, each on the disk before it is given, take a slow disk a minute."""
    folder = Path(tempfile.mkdtemp(prefix="bootpilot-", dir=MEMORY if MEMORY.is_dir() else None))
    yield from make_bench(tmp_path, Config(folder / "home"))
    shutil.rmtree(folder)


def test_a_thousand_boards_ask_after_the_database_was_emptied_and_none_is_offered_an_install(bench_in_memory: Bench) -> None:
    """Half of them were installed by the rule, half by a person's order; every tenth is in mid-install."""
    site = Site(bench_in_memory, rules__lab=ADMITTING)
    boards = [Board(site.world, 100 + number) for number in range(1000)]
    for board in boards:
        install_id = rule_install_id(board_uuid(board), "v1") if board.number % 2 else str(uuid.uuid4())
        board.mark = None if board.number % 10 == 0 else mark_of(board, install_id)
    site.lose_database()
    with ThreadPoolExecutor(16) as pool:
        plans = list(pool.map(ask_from_power_on, boards))
    for board, plan in zip(boards, plans, strict=True):
        assert not plan.writes_disk
        assert plan.action is (Action.LOCAL if board.mark else Action.WAIT)
        assert board.mark is None or plan.node_id == board.mark.node_id


ADMITTING = install_rule("v1").replace("profile", "admit = true\nprofile", 1)
