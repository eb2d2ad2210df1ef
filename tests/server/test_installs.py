"""Installs, one rule after the other: wanted, offered, failed, overdue, held, done, ordered."""

import uuid
from dataclasses import replace

import pytest

from bootpilot_agent.plan import Action, LastAttempt
from bootpilot_server.asking import ordering
from bootpilot_server.deciding.boot_state import StateKind, state_of
from bootpilot_server.deciding.install_facts import InstallState, rule_install_id
from bootpilot_server.store import boot_records
from tests.fakes.bench import Bench
from tests.fakes.installing_boards import FEATURES, Board, Running, World
from tests.fakes.installs import INSTALLER, Site, install_rule, installer, reason, text
from tests.fakes.loaders import NEW, loader
from tests.fakes.reports import make_report, serial

ATTEMPTS, TAKES = 3, 9


@pytest.fixture
def site(bench: Bench) -> Site:
    return Site(bench)


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
    later = site.plan()
    assert text(later) == text(plan)


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
