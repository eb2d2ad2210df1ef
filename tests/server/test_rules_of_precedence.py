"""What stands before what: adoption, orders, holds and contradictions before rules and loaders; and what ends them."""

import functools
import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from bootpilot_agent.evidence import EvidenceKind, Grade
from bootpilot_agent.plan import Action
from bootpilot_server.asking import ordering
from bootpilot_server.cli import main
from bootpilot_server.deciding.approval import BATCH, BY_LIST, BY_SELECTOR, RULE
from bootpilot_server.deciding.boot_state import StateKind, state_of
from bootpilot_server.deciding.decide import decide
from bootpilot_server.deciding.decision import Catalogue, NodeFacts, StoredArtifact
from bootpilot_server.deciding.install_facts import InstallState, Order, rule_install_id
from bootpilot_server.deciding.recipes import ArtifactRef, Expects, Loader, Offer, Profile, Revision, Rule
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.store import boot_records, evidence_records, node_records
from bootpilot_server.store.schema import evidence
from tests.fakes.bench import Bench
from tests.fakes.installing_boards import FEATURES
from tests.fakes.installs import Site, mark_of, reason
from tests.fakes.loaders import loader
from tests.fakes.reports import SERIAL, make_report, piece, serial

KERNEL, NODE = "a" * 64, "00000000-0000-4000-8000-00000000000a"
STORED = Catalogue({KERNEL: StoredArtifact(1000, "arm64")})
PAGE = Profile("page", Expects.PAYLOAD_UP, ArtifactRef(KERNEL), arch="arm64")
NEWER = Loader(replace(PAGE, name="loader arm64"), "feedfacefeedface", Offer.ALWAYS, Rule("arm64", 1, "feedfacefeedface"))
WAITS = 'priority = 1\nprofile = "ram-page"\n'


@pytest.fixture
def site(bench: Bench) -> Site:
    return Site(bench)


def adopted(site: Site) -> Site:
    site.install()
    site.lose_database()
    assert site.plan().action is Action.LOCAL
    assert record_of(site).adopted_at is not None
    return site


def record_of(site: Site) -> NodeRecord:
    with site.bench.server.database.reading() as connection:
        node = node_records.find_node(connection, site.node_id)
    assert node is not None
    return node


# Newer loaders.


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ({}, "feedfacefeedface"),
        ({"conflict": "two nodes"}, "conflict"),
        ({"hold": "the fan is broken"}, "on-hold"),
        ({"retired": True}, "on-hold"),
        ({"adopted": True}, "local"),
        ({"order": Order(str(uuid.UUID(int=1)), Action.REBOOT)}, "reboot"),
    ],
)
def test_a_newer_loader_comes_before_what_a_rule_gives_and_before_nothing_else(state: dict[str, Any], outcome: str) -> None:
    report = make_report(features=FEATURES)
    facts = NodeFacts(NODE, report, approved=True, known_by=Grade.STRONG, loader_builds=(report.build_id,), **state)
    plan = decide(facts, Revision(1, {"page": PAGE}, (Rule("lab", 1, "page"),), (NEWER,)), STORED, now=1000.0).plan
    assert outcome == (plan.boot.loader if plan.boot else plan.wait.reason if plan.wait else plan.action)


def test_a_newer_loader_that_comes_first_begins_no_install(bench: Bench) -> None:
    site = Site(bench, loaders__arm64=loader())
    for _ in range(2):
        plan = site.plan()
        assert plan.boot is not None
        assert (plan.boot.loader != "", plan.install_id) == (True, None)
    assert site.installs() == {}


# Adoption, and who approved.


@pytest.mark.parametrize("way", [BY_SELECTOR, BY_LIST, RULE + "lab", BATCH + "spring"])
def test_adoption_is_ended_by_name_and_in_no_other_way(site: Site, way: str) -> None:
    node_id = adopted(site).node_id
    with site.bench.server.database.writing() as connection:
        node_records.approve_node(connection, node_id, site.world.now, way)
    assert record_of(site).adopted_at is not None
    assert site.plan().action is Action.LOCAL
    site.approve()
    assert record_of(site).adopted_at is None


def test_a_reinstall_by_selector_leaves_an_approval_by_name_as_it_was(site: Site) -> None:
    site.order(functools.partial(ordering.reinstall, way=BY_SELECTOR), "lamp")
    assert record_of(site).approval == "name"
    assert site.plan().writes_disk


def test_the_key_of_the_rule_on_the_disk_of_an_approved_board_is_done_and_no_strangers(site: Site) -> None:
    """The database was put back from before that install, and after the approval."""
    install_id = rule_install_id(site.node_id, "v1")
    site.board.mark = replace(mark_of(site.board, install_id), node_id=site.node_id)
    assert site.plan().action is Action.LOCAL
    assert record_of(site).adopted_at is None
    assert site.installs()[install_id].state is InstallState.DONE


# Orders.


def test_a_mark_that_comes_to_light_late_does_not_stand_before_what_is_ordered(site: Site) -> None:
    first = site.plan()
    site.board.begin_install()
    ordered = site.order(ordering.reinstall, "lamp")
    site.board.finish()
    site.order(ordering.hold, "the rack is being moved")
    assert reason(site.plan()) == "on-hold"
    assert site.installs()[str(first.install_id)].state is InstallState.DONE
    site.order(ordering.release)
    plan = site.plan()
    assert (plan.writes_disk, plan.install_id) == (True, ordered)


def test_a_rescue_whose_profile_writes_a_disk_by_now_is_not_given(site: Site) -> None:
    site.order(ordering.rescue, "lamp")
    plan = site.plan()
    assert (reason(plan), plan.writes_disk) == ("no-usable-plan", False)


def test_the_installed_system_says_by_itself_that_it_is_up(bench: Bench) -> None:
    bench.apply()
    plan = bench.plan()
    bench.send_event(plan, "handover")
    assert bench.send_event(plan, "started", source="system").status_code == 200
    with bench.server.database.reading() as connection:
        boot = boot_records.find_boot(connection, plan.boot_id)
    assert boot is not None
    assert state_of(boot, boot.planned_at + 1_000_000).kind is StateKind.PAYLOAD_UP


# Identity.


def test_a_simulated_board_is_never_taken_for_one_that_a_list_announced(open_bench: Bench, tmp_path: Path) -> None:
    open_bench.apply(rules__lab=WAITS)
    (tmp_path / "nodes.csv").write_text(f"serial\n{SERIAL}\n")
    assert main(["--home", str(open_bench.server.config.home), "node", "import", str(tmp_path / "nodes.csv")]) == 0
    simulated = open_bench.plan(make_report(simulated=True))
    assert reason(simulated) == "not-approved"
    real = open_bench.plan(make_report())
    assert (real.action, real.node_id != simulated.node_id) == (Action.BOOT, True)


def test_a_placeholder_that_was_stored_before_it_was_known_as_one_names_nobody(bench: Bench) -> None:
    bench.apply(rules__lab=WAITS)
    node_id = bench.plan(make_report(evidence=serial("10000000abcd0001"))).node_id
    with bench.server.database.writing() as connection:
        connection.execute(update(evidence).values(value="default string"))
        (known,) = evidence_records.known_nodes(connection, [node_id])
    assert [piece.grade for piece in known.evidence] == [Grade.NONE]


def test_a_contradiction_uses_up_no_place_of_a_batch(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.apply(rules__lab=WAITS)
    kinds = (EvidenceKind.DT_SERIAL, EvidenceKind.SOC_SERIAL)
    one, other = (tuple(piece(kind, f"1000000{letter}{kind}") for kind in kinds) for letter in "ab")
    for shown in (one, other):
        bench.plan(make_report(evidence=shown))
    home = ["--home", str(bench.server.config.home)]
    assert main([*home, "batch", "create", "spring", "--max", "1", "--until", "2099-01-01", "--json"]) == 0
    secret = json.loads(capsys.readouterr().out)["line"].split('"')[1]
    crossed = bench.plan(make_report(evidence=(one[0], other[1]), enrol=secret))
    assert reason(crossed) == "conflict"
    assert bench.plan(make_report(evidence=serial(str(uuid.uuid4())), enrol=secret)).action is Action.BOOT
