"""What an operator writes about installs: keys of rules, [local] of profiles, and everything that `check` says against it."""

import pytest

from bootpilot_agent.local_boot import Find, Otherwise
from bootpilot_server.deciding.recipes import Expects, LocalRecipe
from bootpilot_server.site_folder.revision import read_revision
from scripts.lab.machines import BY_BOARD
from scripts.lab.site_folder import StoredArtifact, site_files
from tests.fakes.installs import INSTALLER, install_rule, installer
from tests.fakes.site import profile


def findings(**changes: str) -> list[str]:
    texts = {"profiles/lamp.toml": INSTALLER, "profiles/ram.toml": profile(), "rules/lab.toml": install_rule("v1")}
    named = {name.replace("__", "/", 1) + ".toml": text for name, text in changes.items()}
    return [str(finding) for finding in read_revision(texts | named)[1]]


def test_a_profile_that_installs_and_its_rule_are_read_whole() -> None:
    local = 'find = "partition"\npartition = "LABEL=root"\notherwise = "rescue"\nrescue = "ram"\n'
    local += 'failures = 5\nexpects = "payload-up"'
    texts = {"profiles/lamp.toml": installer("attempts = 4\n", local=local), "profiles/ram.toml": profile()}
    revision, faults = read_revision(texts | {"rules/lab.toml": install_rule("debian-12.7_a")})
    assert faults == []
    lamp = revision.profiles["lamp"]
    assert (lamp.attempts, lamp.done_deadline_s, revision.rules[0].install) == (4, 3000, "debian-12.7_a")
    assert lamp.local == LocalRecipe(Find.PARTITION, "LABEL=root", Expects.PAYLOAD_UP, Otherwise.RESCUE, 5, "ram")


def test_without_a_word_the_system_is_found_by_its_mark_and_a_board_that_does_not_start_waits() -> None:
    revision, _ = read_revision({"profiles/lamp.toml": INSTALLER})
    assert revision.profiles["lamp"].local == LocalRecipe(Find.MARK, "", Expects.NONE, Otherwise.WAIT, 3, "")


def test_a_rule_that_writes_disks_must_say_which_install_it_means() -> None:
    (fault,) = findings(rules__lab='priority = 1\nprofile = "lamp"\n')
    assert fault.startswith("rules/lab.toml:2: install: missing; profile lamp writes a disk, so say install = ")


def test_a_rule_that_writes_no_disk_has_nothing_to_install() -> None:
    (fault,) = findings(rules__lab=install_rule("v1", name="ram"))
    assert fault == "rules/lab.toml:3: install: profile ram writes no disk, so there is nothing to install"


@pytest.mark.parametrize("key", ["profile:lamp", "auto:x", "two words", "-v1", "x" * 65])
def test_a_key_is_plain(key: str) -> None:
    assert any("install: expected a key" in fault for fault in findings(rules__lab=install_rule(key)))


def test_two_rules_of_one_priority_with_different_keys_are_a_tie() -> None:
    assert any("with different plans" in fault for fault in findings(rules__other=install_rule("v2")))


@pytest.mark.parametrize(
    ("local", "complaint"),
    [
        ('find = "partition"', "partition"),
        ('partition = "LABEL=root"', "partition"),
        ('find = "partition"\npartition = "/dev/sda1"', "partition"),
        ('otherwise = "rescue"', "rescue"),
        ('rescue = "ram"', "rescue"),
        ('otherwise = "rescue"\nrescue = "nothing"', "there is no profiles/nothing.toml"),
        ('otherwise = "rescue"\nrescue = "lamp"', "profile lamp writes a disk, so it is no rescue"),
        ('expects = "installed"', "expects"),
        ("failures = 0", "failures"),
        ('fined = "mark"', "unknown key; did you mean find?"),
    ],
)
def test_a_local_table_that_means_nothing_is_named(local: str, complaint: str) -> None:
    assert any(
        fault.startswith("profiles/lamp.toml:") and complaint in fault
        for fault in findings(profiles__lamp=installer(local=local))
    )


@pytest.mark.parametrize("extra", ["attempts = 3\n", "done_deadline_s = 60\n"])
def test_a_profile_that_installs_nothing_has_no_attempts(extra: str) -> None:
    (fault,) = findings(profiles__ram=profile(before=extra))
    assert "belongs to a profile that installs" in fault


def test_the_demos_folder_is_good_as_it_is() -> None:
    kernel, initrd = StoredArtifact("a" * 64, "vmlinuz"), StoredArtifact("b" * 64, "initrd", 4096)
    for machine in BY_BOARD.values():
        revision, faults = read_revision(site_files(machine, kernel, initrd))
        assert faults == []
        assert [rule.install for rule in revision.rules] == [""]
