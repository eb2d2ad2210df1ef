"""What may be decided and what may not, where no other test would notice that a rule is gone."""

import json
import uuid
from dataclasses import replace

import pytest

from bootpilot_agent.evidence import GRADES, EvidenceKind, Grade, evidence_from_fields
from bootpilot_agent.fields import Fields
from bootpilot_agent.local_boot import Otherwise
from bootpilot_agent.plan import Action, Plan
from bootpilot_server.asking import ordering
from bootpilot_server.asking.answer import Question, answer
from bootpilot_server.deciding.decide import decide
from bootpilot_server.deciding.decision import Catalogue, Decision, NodeFacts, StoredArtifact, WaitReason
from bootpilot_server.deciding.install_facts import (
    ADOPTED,
    ORDER,
    InstallFacts,
    InstallState,
    automatic_install_id,
)
from bootpilot_server.deciding.installs import Course, step_before_rules, step_without_rules
from bootpilot_server.deciding.recipes import ArtifactRef, Expects, LocalRecipe, Profile, Revision, Rule
from bootpilot_server.store import boot_records, install_records, node_records
from tests.fakes.bench import Bench
from tests.fakes.installing_boards import FEATURES, Board
from tests.fakes.installs import Site, ask_from_power_on, installer, mark_of, reason
from tests.fakes.reports import body_of, make_report

KERNEL, NODE = "a" * 64, "00000000-0000-4000-8000-00000000000a"
STORED = Catalogue({KERNEL: StoredArtifact(1000, "arm64")})
LAMP = Profile("lamp", Expects.INSTALLED, ArtifactRef(KERNEL), writes_disk=True)
PAGE = Profile("page", Expects.PAYLOAD_UP, ArtifactRef(KERNEL))


@pytest.fixture
def site(bench: Bench) -> Site:
    return Site(bench)


def told(*rules: Rule, approved: bool = True) -> Decision:
    node = NodeFacts(NODE, make_report(features=FEATURES), approved=approved, known_by=Grade.STRONG)
    return decide(node, Revision(1, {"lamp": LAMP, "page": PAGE}, rules), STORED, now=1000.0)


def why_it_waits(decision: Decision) -> str:
    assert decision.plan.wait is not None
    return decision.plan.wait.reason


# Rules of one priority.


def test_rules_of_one_priority_that_would_install_under_different_keys_are_never_a_guess() -> None:
    rule = Rule("lab", 10, "lamp", install="v1")
    assert told(rule, replace(rule, name="twin")).plan.writes_disk
    assert why_it_waits(told(rule, replace(rule, name="twin", install="v2"))) == WaitReason.RULE_TIE


@pytest.mark.parametrize("first", ["admits", "z-admits"], ids=["first", "last"])
def test_rules_of_one_priority_of_which_one_admits_are_a_tie_only_for_who_is_not_approved(first: str) -> None:
    rules = (Rule(first, 10, "page", admit=True), Rule("does-not", 10, "page"))
    assert why_it_waits(told(*rules, approved=False)) == WaitReason.RULE_TIE
    assert told(*rules).plan.action is Action.BOOT


# Revisions.


def test_every_plan_is_traced_to_the_revision_that_it_came_from(bench: Bench) -> None:
    def revision_of(plan: Plan) -> int:
        with bench.server.database.reading() as connection:
            boot = boot_records.find_boot(connection, plan.boot_id)
        assert boot is not None
        return boot.revision

    before = bench.apply().number
    first = bench.plan()
    after = bench.apply(rules__other='priority = 1\nprofile = "ram-page"\n').number
    second = bench.plan()
    assert (revision_of(first), revision_of(second)) == (before, after)
    assert before != after


# Orders.


@pytest.mark.parametrize("action", [Action.REBOOT, Action.POWEROFF])
def test_an_order_that_this_agent_cannot_carry_out_is_kept_for_one_that_can(site: Site, action: Action) -> None:
    site.order(ordering.give_once, action)
    site.board.power_on()
    features = tuple(feature for feature in FEATURES if feature != action)
    question = Question(body_of(replace(site.board.report(), features=features)), "", "10.0.0.7", site.world.now)
    assert Plan.from_json(answer(site.bench.server, question), "arm64").action is Action.BOOT
    assert site.plan().action is action
    assert site.plan().action is Action.BOOT


# Grades.


def test_each_kind_of_evidence_has_the_grade_that_it_deserves() -> None:
    weaker = {
        EvidenceKind.MAC: Grade.MEDIUM,
        EvidenceKind.DISK_SERIAL: Grade.MEDIUM,
        EvidenceKind.CARD_CID: Grade.WEAK,
        EvidenceKind.RANDOM_MAC: Grade.NONE,
    }
    assert dict.fromkeys(EvidenceKind, Grade.STRONG) | weaker == GRADES


@pytest.mark.parametrize(
    ("kind", "value", "claimed", "counts"),
    [
        (EvidenceKind.DT_SERIAL, "To be filled by O.E.M.", "strong", Grade.NONE),
        (EvidenceKind.MAC, "00:48:54:20:33:01", "strong", Grade.MEDIUM),
        (EvidenceKind.DT_SERIAL, "10000000abcdef01", "none", Grade.NONE),
        (EvidenceKind.DT_SERIAL, "10000000abcdef01", "weak", Grade.WEAK),
        (EvidenceKind.DT_SERIAL, "10000000abcdef01", "strong", Grade.STRONG),
    ],
)
def test_what_a_report_says_of_a_grade_lowers_it_and_never_raises_it(
    kind: EvidenceKind, value: str, claimed: str, counts: Grade
) -> None:
    text = json.dumps({"kind": kind, "value": value, "source": "/sys/x", "grade": claimed})
    found = evidence_from_fields(Fields.from_bytes(text.encode()))
    assert found is not None
    assert found.grade is counts


# Installs.


def test_done_alone_ends_an_install_whose_disk_shows_no_mark(site: Site) -> None:
    """An installer that writes no mark, or an agent that cannot read the file in which it stands."""
    site.plan()
    site.board.begin_install()
    site.board.say_done()
    plan = site.plan()
    assert (plan.action, plan.writes_disk) == (Action.LOCAL, False)
    assert [facts.state for facts in site.installs().values()] == [InstallState.DONE]


def test_the_time_for_done_runs_from_the_jump_however_late_the_installer_says_its_first_word(site: Site) -> None:
    site.plan()
    site.board.tell("handover")
    site.world.now += 250.0
    site.board.tell("installing", "installer")
    site.world.now += 2740.0
    site.plan()
    assert [facts.attempts for facts in site.installs().values()] == [1]


def test_what_is_done_has_no_more_attempts_however_late_a_failure_is_counted(site: Site) -> None:
    install_id = site.install()
    with site.bench.server.database.writing() as connection:
        install_records.count_attempt(connection, site.node_id, install_id, "too late")
    facts = site.installs()[install_id]
    assert (facts.state, facts.attempts, facts.last_failure) == (InstallState.DONE, 0, "")


def test_what_was_given_up_waits_for_a_person_even_if_the_profile_is_more_patient_by_then(bench: Bench) -> None:
    site = Site(bench, profiles__lamp=installer("attempts = 1\n"))
    site.plan()
    site.board.say_failed()
    assert reason(site.plan()) == "on-hold"
    bench.apply(**site.texts | {"profiles__lamp": installer("attempts = 5\n")})
    assert reason(site.plan()) == "on-hold"
    site.order(ordering.release)
    assert site.plan().writes_disk


BROKEN = InstallFacts("00000000-0000-4000-8000-0000000000d1", ORDER, "lamp", InstallState.DONE, local_failures=3)


@pytest.mark.parametrize(
    ("broken", "course"),
    [
        (BROKEN, Course.INSTALL),
        (replace(BROKEN, local_failures=2), Course.LOCAL),
        (replace(BROKEN, origin=ADOPTED), Course.HOLD),
        (replace(BROKEN, origin="auto:" + BROKEN.id), Course.HOLD),
    ],
    ids=["ordered", "not yet", "adopted", "made anew already"],
)
def test_a_disk_that_does_not_start_is_installed_anew_only_if_its_install_came_from_here_and_was_the_first(
    broken: InstallFacts, course: Course
) -> None:
    assert course_of(broken) is course


@pytest.mark.parametrize("state", [InstallState.SUPERSEDED, InstallState.DONE])
def test_one_install_is_made_anew_once_whatever_became_of_that(state: InstallState) -> None:
    again = InstallFacts(automatic_install_id(NODE, BROKEN.id), "auto:" + BROKEN.id, "lamp", state)
    assert course_of(BROKEN, again) is Course.HOLD


def course_of(current: InstallFacts, *others: InstallFacts) -> Course:
    installs = {facts.id: facts for facts in (current, *others)}
    node = NodeFacts(NODE, make_report(), approved=True, install=current, installs=installs)
    step = step_without_rules(node, {"lamp": replace(LAMP, local=LocalRecipe(otherwise=Otherwise.REINSTALL))})
    assert step is not None
    return step.course


@pytest.mark.parametrize("otherwise", [Otherwise.REINSTALL, Otherwise.RESCUE])
def test_an_adopted_board_whose_disk_does_not_start_waits_for_a_person_whatever_its_profile_says(otherwise: Otherwise) -> None:
    """A disk that is known after all may come to light beside the one by which the board was adopted."""
    profiles = {"lamp": replace(LAMP, local=LocalRecipe(otherwise=otherwise, rescue="page")), "page": PAGE}
    node = NodeFacts(NODE, make_report(), approved=True, adopted=True, install=BROKEN, installs={BROKEN.id: BROKEN})
    step = step_before_rules(node, None, profiles)
    assert step is not None
    assert step.course is Course.HOLD


# Marks.


def test_a_mark_gives_back_no_id_that_somebody_has_even_to_the_board_that_it_names(site: Site) -> None:
    """The board of a node was replaced, and comes back with its disk: the node is another board by now."""
    site.install()
    former = Board(site.world, 2)
    former.mark = replace(mark_of(former, str(uuid.uuid4())), node_id=site.node_id)
    plan = ask_from_power_on(former)
    assert (reason(plan), plan.node_id != site.node_id) == ("conflict", True)
    with site.bench.server.database.writing() as connection:
        node_records.approve_node(connection, plan.node_id, site.world.now)
    assert reason(ask_from_power_on(former)) == "conflict"
    assert site.plan().action is Action.LOCAL
