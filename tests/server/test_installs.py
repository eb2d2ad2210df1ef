"""Installs, one rule after the other: wanted, done, failed, held, found on the disk, adopted, started, never twice."""

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bootpilot_agent.mark import Mark
from bootpilot_agent.plan import Action, LastAttempt, Plan
from bootpilot_server.asking import ordering
from bootpilot_server.config import Config
from bootpilot_server.deciding.boot_state import StateKind, state_of
from bootpilot_server.deciding.install_facts import InstallFacts, InstallState, rule_install_id
from bootpilot_server.server import open_server
from bootpilot_server.store import boot_records, install_records, node_records
from tests.fakes.bench import Bench, make_bench
from tests.fakes.installing_boards import FEATURES, Board, Running, World
from tests.fakes.installs import INSTALLER, install_rule, installer
from tests.fakes.loaders import NEW, loader
from tests.fakes.reports import make_report, serial

ATTEMPTS, TAKES = 3, 9
MEMORY = Path("/dev/shm")  # noqa: S108 (a folder of its own is made there)


class Site:
    """A server with one installing rule, and a board that a person has approved by name."""

    def __init__(self, bench: Bench, **texts: str) -> None:
        self.bench = bench
        self.texts = {"profiles__lamp": INSTALLER, "rules__lab": install_rule("v1"), **texts}
        bench.apply(**self.texts)
        self.world = World(bench.server)
        self.board = Board(self.world, 1)
        self.boot()
        self.approve()

    def boot(self, *, is_lost: bool = False) -> Plan | None:
        self.world.now += 30.0
        self.board.power_on()
        return self.board.ask(is_lost=is_lost)

    def plan(self) -> Plan:
        plan = self.boot()
        assert plan is not None
        return plan

    def install(self) -> str:
        """One whole install. Returns its id."""
        plan = self.plan()
        assert plan.writes_disk, plan
        self.board.begin_install()
        self.board.wipe()
        self.board.finish()
        self.board.say_done()
        return str(plan.install_id)

    @property
    def node_id(self) -> str:
        with self.bench.server.database.reading() as connection:
            return node_records.search_nodes(connection, self.board.serial)[0].id

    def approve(self) -> None:
        node_id = self.node_id
        with self.bench.server.database.writing() as connection:
            node_records.approve_node(connection, node_id, self.world.now)

    def order(self, deed: Any, *words: object) -> Any:
        with self.bench.server.database.writing() as connection:
            node = node_records.find_node(connection, self.node_id)
            assert node is not None
            return deed(connection, node, *words, self.world.now, "irina")

    def installs(self) -> dict[str, InstallFacts]:
        node_id = self.node_id
        with self.bench.server.database.reading() as connection:
            return install_records.installs_of(connection, node_id)

    def texts_of_history(self) -> list[str]:
        node_id = self.node_id
        with self.bench.server.database.reading() as connection:
            return [entry.text for entry in node_records.list_history(connection, node_id)]

    def lose_database(self) -> None:
        """The server's records are gone; its folder of profiles and rules is put in force again."""
        self.bench.server.database.close()
        for path in self.bench.server.config.home.glob("state.sqlite*"):
            path.unlink()
        self.bench.server = self.world.server = open_server(self.bench.server.config, create=True)
        self.bench.apply(**self.texts)


@pytest.fixture
def site(bench: Bench) -> Site:
    return Site(bench)


def reason(plan: Plan) -> str:
    assert plan.wait is not None, plan
    return plan.wait.reason


def text(plan: Plan) -> str:
    assert plan.wait is not None, plan
    return plan.wait.text


# Wanted and offered.


def test_a_rule_gives_each_node_one_install_id_that_follows_from_its_key(site: Site) -> None:
    plan = site.plan()
    assert (plan.action, plan.writes_disk, plan.done_deadline_s) == (Action.BOOT, True, 3000)
    assert plan.install_id == rule_install_id(plan.node_id, "v1") == str(uuid.uuid5(uuid.UUID(plan.node_id), "v1"))
    assert set(plan.requires) >= {"local", "mark"}


def test_after_done_the_answer_is_local_for_ever(site: Site) -> None:
    install_id = site.install()
    for _ in range(3):
        plan = site.plan()
        assert (plan.action, plan.writes_disk, plan.install_id) == (Action.LOCAL, False, install_id)
        assert site.board.running is Running.SYSTEM


def test_another_key_is_another_install_and_nothing_else_is(site: Site) -> None:
    first = site.install()
    site.bench.apply(**site.texts | {"profiles__lamp": INSTALLER.replace("quiet", "loud")})
    assert site.plan().action is Action.LOCAL
    site.bench.apply(**site.texts | {"rules__lab": install_rule("v2")})
    assert site.install() != first
    assert site.plan().action is Action.LOCAL
    site.bench.apply(**site.texts)
    assert site.plan().action is Action.LOCAL


def test_an_agent_that_cannot_tell_of_marks_is_given_no_installer(site: Site) -> None:
    for missing in ("local", "mark"):
        features = tuple(feature for feature in FEATURES if feature != missing)
        plan = site.bench.plan(make_report(evidence=serial(site.board.serial), features=features))
        assert (reason(plan), missing in text(plan)) == ("capability", True)


def test_such_an_agent_gets_a_newer_loader_if_the_site_names_one(bench: Bench) -> None:
    site = Site(bench, loaders__arm64=loader('offer = "needed"\n'))
    old = make_report(evidence=serial(site.board.serial), features=("boot", "wait", "dtb:running"))
    plan = site.bench.plan(old)
    assert plan.boot is not None
    assert (plan.boot.loader, plan.install_id, plan.writes_disk) == (NEW, None, False)
    assert site.installs() == {}


def test_an_installed_board_whose_card_holds_an_old_agent_is_not_told_to_start_its_disk(site: Site) -> None:
    site.install()
    plan = site.bench.plan(make_report(evidence=serial(site.board.serial), features=("boot", "wait", "dtb:running")))
    assert reason(plan) == "capability"


def test_a_board_that_nobody_approved_is_given_no_installer(bench: Bench) -> None:
    bench.apply(profiles__lamp=INSTALLER, rules__lab=install_rule("v1").replace("profile", "admit = true\nprofile", 1))
    board = Board(World(bench.server), 2)
    board.power_on()
    plan = board.ask()
    assert plan is not None
    assert reason(plan) == "not-approved"


# Attempts, takes, hold.


def test_failures_that_were_told_end_in_hold(site: Site) -> None:
    for _ in range(ATTEMPTS):
        assert site.plan().writes_disk
        site.board.begin_install()
        site.board.say_failed()
    plan = site.plan()
    assert reason(plan) == "on-hold"
    assert "failed 3 times, at last: the disk is full" in text(plan)
    assert [facts.state for facts in site.installs().values()] == [InstallState.FAILED]
    site.order(ordering.release)
    assert site.plan().writes_disk


@pytest.mark.parametrize("says_hello", [False, True], ids=["silent after the jump", "never done after the first word"])
def test_silence_after_the_jump_is_a_failed_attempt_once_its_deadline_is_over(site: Site, says_hello: bool) -> None:
    for _ in range(ATTEMPTS):
        assert site.plan().writes_disk
        site.board.tell("handover")
        if says_hello:
            site.board.tell("installing", "installer")
        site.world.now += 3000.0 if says_hello else 300.0
    assert reason(site.plan()) == "on-hold"


def test_a_board_that_comes_back_before_its_deadlines_has_lost_its_power_and_no_attempt(site: Site) -> None:
    for _ in range(ATTEMPTS + 1):
        assert site.plan().writes_disk
        site.board.begin_install()
        site.world.now += 200.0
    assert [facts.attempts for facts in site.installs().values()] == [0]


def test_lost_answers_and_power_cuts_before_the_jump_use_up_no_attempt_and_yet_make_no_loop(site: Site) -> None:
    for number in range(TAKES):
        site.boot(is_lost=bool(number % 2))
        assert [facts.attempts for facts in site.installs().values()] == [0]
        site.world.now += 100_000.0
    plan = site.plan()
    assert (reason(plan), "was begun by 9 boots" in text(plan)) == ("on-hold", True)


def test_the_same_boot_takes_an_install_once_however_often_it_asks(site: Site) -> None:
    plan = site.plan()
    for _ in range(TAKES + 1):
        site.world.now += 400.0
        again = site.board.ask()
        assert again is not None
        assert again.install_id == plan.install_id
    assert [facts.takes for facts in site.installs().values()] == [1]


def test_a_failure_that_only_the_next_report_tells_of_counts(site: Site) -> None:
    for _ in range(ATTEMPTS):
        plan = site.plan()
        attempt = LastAttempt(plan.boot_id, "kexec", "the kernel says no", "")
        site.board.power_on()
        site.bench.plan(replace(site.board.report(), last_attempt=attempt))
        if [facts.attempts for facts in site.installs().values()] == [ATTEMPTS]:
            break
    assert "the kernel says no" in text(site.plan())


def test_the_number_of_attempts_is_the_profiles(bench: Bench) -> None:
    site = Site(bench, profiles__lamp=installer("attempts = 1\n"))
    site.plan()
    site.board.say_failed()
    assert reason(site.plan()) == "on-hold"


def test_an_install_that_is_not_done_in_time_is_shown_as_overdue(site: Site) -> None:
    plan = site.plan()
    site.board.begin_install()
    with site.bench.server.database.reading() as connection:
        boot = boot_records.find_boot(connection, plan.boot_id)
    assert boot is not None
    assert state_of(boot, site.world.now + 3000.0).kind is StateKind.INSTALLING
    overdue = state_of(boot, site.world.now + 3000.1)
    assert (overdue.kind, overdue.is_failure) == (StateKind.INSTALL_OVERDUE, True)


# Done, in time, lost, late, of another install.


def test_a_lost_done_is_made_good_by_the_mark(site: Site) -> None:
    plan = site.plan()
    site.board.begin_install()
    site.board.wipe()
    site.board.finish()
    site.board.say_done(is_lost=True)
    site.world.now += 1_000_000.0
    assert site.plan().action is Action.LOCAL
    assert site.installs()[str(plan.install_id)].state is InstallState.DONE
    assert f"install {plan.install_id} is done: its mark is on the disk" in site.texts_of_history()


def test_a_done_of_the_install_before_leaves_a_new_request_standing(site: Site) -> None:
    first = site.plan()
    site.board.begin_install()
    ordered = site.order(ordering.reinstall, "lamp")
    site.board.finish()
    site.board.say_done()
    plan = site.plan()
    assert (plan.install_id, plan.writes_disk) == (ordered, True)
    assert site.installs()[str(first.install_id)].state is InstallState.DONE
    assert site.installs()[ordered].state is InstallState.WANTED


def test_what_is_done_does_not_fail_afterwards(site: Site) -> None:
    install_id = site.install()
    for _ in range(ATTEMPTS):
        site.board.say_failed()
    assert site.installs()[install_id].attempts == 0
    assert site.plan().action is Action.LOCAL


def test_an_order_stands_before_rules_and_its_disk_is_not_overwritten_by_them(bench: Bench) -> None:
    site = Site(bench)
    ordered = site.order(ordering.reinstall, "lamp")
    assert site.install() == ordered
    assert site.plan().install_id == ordered
    assert site.plan().action is Action.LOCAL
    site.bench.apply(**site.texts | {"rules__lab": install_rule("v2")})
    assert site.install() == rule_install_id(site.node_id, "v2")


def test_a_newer_order_supersedes_one_that_is_not_done(site: Site) -> None:
    first = site.order(ordering.reinstall, "lamp")
    second = site.order(ordering.reinstall, "lamp")
    assert site.plan().install_id == second
    assert site.installs()[first].state is InstallState.SUPERSEDED


def test_an_installed_board_that_no_rule_matches_any_more_starts_its_disk(site: Site) -> None:
    site.install()
    site.bench.apply(**site.texts | {"rules__lab": install_rule("v1").replace("arm64", "armhf")})
    assert site.plan().action is Action.LOCAL


# The mark.


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


def ask_from_power_on(board: Board) -> Plan:
    board.power_on()
    plan = board.ask()
    assert plan is not None
    return plan


def board_uuid(board: Board) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, board.serial))


def mark_of(board: Board, install_id: str) -> Mark:
    return Mark(board_uuid(board), install_id, "dt-serial", board.serial, "4d0b5f4c-02", 600)
