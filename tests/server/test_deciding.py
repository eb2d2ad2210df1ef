"""decide(): pure, told by data alone."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bootpilot_agent.evidence import Grade
from bootpilot_agent.inventory import KexecCapability
from bootpilot_agent.plan import Action, DtbPolicy, Plan
from bootpilot_server.deciding.decide import decide
from bootpilot_server.deciding.decision import Catalogue, Decision, NodeFacts, StoredArtifact, WaitReason
from bootpilot_server.deciding.drafts import RETRY_AFTER_S
from bootpilot_server.deciding.recipes import ArtifactRef, Condition, Expects, FileRecipe, Profile, Revision, Rule, Template
from tests.fakes.reports import make_report

KERNEL, INITRD, NODE = "a" * 64, "b" * 64, "00000000-0000-4000-8000-00000000000a"
STORED = Catalogue({KERNEL: StoredArtifact(1000, "arm64"), INITRD: StoredArtifact(2000)})
PROFILE = Profile(
    "ram-page", Expects.PAYLOAD_UP, ArtifactRef(KERNEL), (ArtifactRef(INITRD, unpacked_bytes=5000),), command_line="quiet"
)
RULE = Rule("lab", 10, "ram-page", admit=True)


def decision(*rules: Rule, profile: Profile = PROFILE, artifacts: Catalogue = STORED, **node: Any) -> Decision:
    facts = replace(NodeFacts(NODE, make_report(), known_by=Grade.STRONG), **node)
    profiles = {"ram-page": profile, "other": replace(profile, name="other")}
    return decide(facts, Revision(1, profiles, rules), artifacts, now=1000.0)


def reason(told: Decision) -> str:
    assert told.plan.action is Action.WAIT
    assert told.plan.wait is not None
    return told.plan.wait.reason


def test_a_matching_rule_that_admits_gives_its_profile_to_an_unknown_board() -> None:
    told = decision(RULE)
    assert told.plan.boot is not None
    assert told.plan.boot.kernel.to_json() == {"urls": [f"/artifacts/sha256/{KERNEL}"], "size": 1000, "sha256": KERNEL}
    assert told.plan.boot.initrds[0].unpacked_bytes == 5000
    assert (told.rule, told.profile, told.why[0]) == ("lab", "ram-page", "profile ram-page by rule lab (priority 10)")


def test_every_plan_is_one_that_the_agent_accepts() -> None:
    for told in (decision(RULE), decision()):
        plan = replace(told.plan, token="t")
        assert Plan.from_json(json.dumps(plan.to_json()).encode(), "arm64") == plan


def test_without_admit_an_unknown_board_waits_and_an_approved_one_boots() -> None:
    rule = replace(RULE, admit=False)
    assert reason(decision(rule)) == WaitReason.NOT_APPROVED
    assert decision(rule, approved=True).plan.action is Action.BOOT


def test_the_first_match_wins_even_if_a_later_rule_would_admit() -> None:
    assert reason(decision(replace(RULE, admit=False), Rule("later", 1, "other", admit=True))) == WaitReason.NOT_APPROVED


def test_the_rules_that_lost_are_told_with_their_reason() -> None:
    other = Rule("boards", 20, "other", conditions=(Condition("model", ("Cubie*",)),))
    told = decision(RULE, other, Rule("last", 1, "other", admit=True))
    assert told.why[1:] == (
        "rule boards (priority 20) lost: model is 'Radxa ROCK 5B', it wants 'Cubie*'",
        "rule last (priority 1) lost: lab stands before it",
    )


def test_rules_of_one_priority_with_different_plans_are_never_a_guess() -> None:
    assert reason(decision(RULE, Rule("twin", 10, "other", admit=True))) == WaitReason.RULE_TIE


def test_rules_of_one_priority_with_the_same_plan_are_no_tie() -> None:
    assert decision(RULE, Rule("twin", 10, "ram-page", admit=True)).plan.action is Action.BOOT


def test_the_order_in_which_rules_are_written_changes_nothing() -> None:
    rules = [RULE, Rule("twin", 10, "ram-page", admit=True), Rule("first", 99, "other", admit=True)]
    assert decision(*rules).plan.to_json()["boot"] == decision(*reversed(rules)).plan.to_json()["boot"]


def test_a_conflict_stands_before_every_rule() -> None:
    assert reason(decision(RULE, approved=True, conflict="two nodes")) == WaitReason.CONFLICT


def test_no_rules_at_all_is_said_as_it_is() -> None:
    assert reason(decision()) == WaitReason.NOT_APPROVED
    assert reason(decision(approved=True)) == WaitReason.NO_USABLE_PLAN


@pytest.mark.parametrize("known_by", [Grade.WEAK, Grade.MEDIUM, Grade.STRONG])
def test_no_rule_alone_lets_a_board_write_a_disk(known_by: Grade) -> None:
    installer = replace(PROFILE, writes_disk=True, expects=Expects.INSTALLED)
    report = make_report(features=(*make_report().features, "local", "mark"))
    assert reason(decision(RULE, profile=installer, known_by=known_by, report=report)) == WaitReason.NOT_APPROVED
    assert decision(RULE, profile=installer, known_by=known_by, report=report, approved=True).plan.writes_disk is True


def test_a_profile_for_another_architecture_is_not_offered() -> None:
    assert reason(decision(RULE, profile=replace(PROFILE, arch="armhf"))) == WaitReason.NO_USABLE_PLAN


def test_a_kernel_for_another_machine_is_not_offered_even_if_the_profile_says_nothing() -> None:
    wrong = Catalogue({**STORED.stored, KERNEL: StoredArtifact(1000, "amd64")})
    told = decision(RULE, artifacts=wrong)
    assert reason(told) == WaitReason.NO_USABLE_PLAN
    assert "is for amd64, this board is arm64" in told.why[0]


def test_nothing_is_offered_that_the_report_did_not_list() -> None:
    tree = replace(PROFILE, dtb_policy=DtbPolicy.FILE, dtb=ArtifactRef(INITRD))
    old = make_report(features=("boot", "wait"))
    told = decision(RULE, profile=tree, report=old)
    assert reason(told) == WaitReason.CAPABILITY
    assert "dtb:file" in told.why[0]
    assert reason(decision(RULE, profile=replace(PROFILE, requires=("mark",)))) == WaitReason.CAPABILITY


def test_a_tree_with_fixups_and_overlays_is_offered_to_agents_that_know_them_alone() -> None:
    tree = replace(
        PROFILE,
        dtb_policy=DtbPolicy.FILE_FIXUPS,
        dtb=ArtifactRef(INITRD),
        dtb_overlays=(ArtifactRef(KERNEL), ArtifactRef(INITRD)),
    )
    old = make_report(features=("boot", "wait", "dtb:running", "dtb:file"))
    told = decision(RULE, profile=tree, report=old)
    assert reason(told) == WaitReason.CAPABILITY
    assert "dtb:file+fixups" in told.why[0]
    plan = decision(RULE, profile=tree, report=make_report(features=("boot", "dtb:file+fixups"))).plan
    assert plan.requires == ("boot", "dtb:file+fixups")
    assert plan.boot is not None
    assert [overlay.sha256 for overlay in plan.boot.dtb_overlays] == [KERNEL, INITRD]
    assert Plan.from_json(json.dumps({**plan.to_json(), "token": "t"}).encode(), "arm64").boot == plan.boot


def test_a_pc_needs_no_device_tree() -> None:
    stored = Catalogue({**STORED.stored, KERNEL: StoredArtifact(1000, "amd64")})
    told = decision(RULE, artifacts=stored, report=make_report(arch="amd64", features=("boot", "wait")))
    assert told.plan.requires == ("boot",)


def test_a_board_without_kexec_gets_no_payload() -> None:
    report = make_report()
    kexec = KexecCapability(load=False, file_load=False, lockdown="integrity")
    report = replace(report, inventory=replace(report.inventory, kexec=kexec))
    assert reason(decision(RULE, report=report)) == WaitReason.CAPABILITY


def test_a_board_on_which_kexec_is_known_to_fail_is_told_so_instead_of_being_sent_into_silence() -> None:
    report = make_report()
    kexec = replace(report.inventory.kexec, trouble="kexec does not work on Raspberry Pi 5")
    told = decision(RULE, report=replace(report, inventory=replace(report.inventory, kexec=kexec)))
    assert reason(told) == WaitReason.CAPABILITY
    assert told.why[0] == "kexec does not work on Raspberry Pi 5"


def test_a_rule_whose_profile_the_board_cannot_do_gives_way_to_the_next_that_matches() -> None:
    rules = (RULE, Rule("next", 5, "other", admit=True), Rule("last", 1, "other", admit=True))
    needy = replace(PROFILE, requires=("mark",))
    facts = replace(NodeFacts(NODE, make_report(), known_by=Grade.STRONG))
    told = decide(facts, Revision(1, {"ram-page": needy, "other": replace(PROFILE, name="other")}, rules), STORED, now=1.0)
    assert (told.rule, told.profile) == ("next", "other")
    assert told.why == (
        "profile other by rule next (priority 5)",
        "rule lab (priority 10) passed over: profile ram-page needs mark, which this loader does not offer",
        "rule last (priority 1) lost: next stands before it",
    )


@pytest.mark.parametrize("admit", [True, False])
def test_where_no_matching_profile_can_be_done_the_first_says_what_is_missing(admit: bool) -> None:
    rules = (RULE, Rule("next", 5, "other", admit=admit))
    told = decision(*rules, profile=replace(PROFILE, requires=("mark",)))
    assert reason(told) == WaitReason.CAPABILITY
    assert (told.rule, told.why[0]) == ("lab", "profile ram-page needs mark, which this loader does not offer")


def test_rules_select_by_what_the_board_can_do() -> None:
    report = make_report()
    psci = replace(report.inventory.cpu, enable_method="psci", hotplug=True)
    report = replace(report, inventory=replace(report.inventory, cpu=psci))
    for fact, fits, other in (
        ("loader", "0123456789abcdef", "feed*"),
        ("kexec", "load", "file-load"),
        ("kexec-works", "true", "false"),
        ("lockdown", "none", "integrity"),
        ("enable-method", "psci", "spin-table"),
        ("cpu-hotplug", "true", "false"),
    ):
        assert decision(replace(RULE, conditions=(Condition(fact, (fits,)),)), report=report).plan.boot, fact
        assert decision(replace(RULE, conditions=(Condition(fact, (other,)),)), report=report).plan.wait, fact


def test_an_artifact_that_is_gone_or_has_changed_its_size_is_not_offered() -> None:
    gone = Catalogue({INITRD: StoredArtifact(2000)})
    assert reason(decision(RULE, artifacts=gone)) == WaitReason.NO_USABLE_PLAN
    sized = replace(PROFILE, kernel=ArtifactRef(KERNEL, "vmlinuz", size_bytes=999))
    assert "has 1000 bytes instead of 999" in decision(RULE, profile=sized).why[0]


def test_a_command_line_too_long_for_this_boards_kernel_is_not_offered() -> None:
    long = replace(PROFILE, command_line="x" * 1500)
    stored = Catalogue({**STORED.stored, KERNEL: StoredArtifact(1000)})
    assert decision(RULE, profile=long, artifacts=stored).plan.action is Action.BOOT
    assert reason(decision(RULE, profile=long, artifacts=stored, report=make_report(arch="armhf"))) == WaitReason.NO_USABLE_PLAN


def test_mirrors_stand_before_the_server_itself() -> None:
    plan = decision(RULE, artifacts=replace(STORED, mirrors=("http://cache.rack7.example",))).plan
    assert plan.boot is not None
    assert plan.boot.kernel.urls == (f"http://cache.rack7.example/artifacts/sha256/{KERNEL}", f"/artifacts/sha256/{KERNEL}")


def test_a_template_that_fails_makes_the_board_wait_and_says_where() -> None:
    template = Template("motd", {"motd": "line one\n{{ node.nonsense }}\n"})
    told = decision(RULE, profile=replace(PROFILE, files=(FileRecipe("/etc/motd", 0o644, template),)))
    assert reason(told) == WaitReason.RENDER_ERROR
    assert "templates/motd:2" in told.why[0]
    assert "nonsense" in told.why[0]


def test_every_wait_names_a_time_that_agents_honour() -> None:
    assert set(RETRY_AFTER_S) == set(WaitReason)
    assert all(1 <= seconds <= 3600 for seconds in RETRY_AFTER_S.values())
