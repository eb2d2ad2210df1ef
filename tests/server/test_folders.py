"""Profiles, rules and templates in a folder: what is wrong with them, where, and that nothing half right is ever in force."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpilot_server.errors import OperatorError
from bootpilot_server.site_folder.check import check_folder
from bootpilot_server.site_folder.revision import read_revision
from bootpilot_server.site_folder.toml_lines import key_lines, line_of
from bootpilot_server.store import revision_records
from tests.fakes.bench import Bench
from tests.fakes.reports import make_report
from tests.fakes.site import INITRD, KERNEL, RULE, digest, profile, write_site


def in_force(bench: Bench) -> int:
    with bench.server.database.reading() as connection:
        return revision_records.current_number(connection)


def findings(bench: Bench, **texts: str) -> list[str]:
    return [str(finding) for finding in bench.apply(**texts).findings]


def test_a_good_folder_has_no_findings_and_becomes_a_revision(bench: Bench) -> None:
    applied = bench.apply()
    assert (applied.findings, applied.number, applied.is_new) == ((), 1, True)
    assert bench.plan().boot is not None


def test_the_same_folder_again_makes_no_new_revision(bench: Bench) -> None:
    bench.apply()
    assert (bench.apply().number, bench.apply().is_new) == (1, False)


def test_a_folder_that_does_not_validate_leaves_the_revision_in_force(bench: Bench) -> None:
    bench.apply()
    applied = bench.apply(rules__broken="priority = \n")
    assert (applied.is_usable, applied.is_new, applied.number, in_force(bench)) == (False, False, 1, 1)
    assert bench.plan().boot is not None


def test_a_change_of_the_folder_counts_only_when_it_is_applied(bench: Bench) -> None:
    bench.apply()
    (bench.folder / "site" / "rules" / "lab.toml").write_text("garbage")
    assert bench.plan().boot is not None


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("priority = \n", 1, "Invalid value"),
        ("\n\npriority = 1\npriority = 2\n", 4, "overwrite"),
        ('priority = "high"\nprofile = "ram-page"\n', 1, "priority: expected a whole number from 0"),
        ('profile = "ram-page"\n', 1, "priority: missing"),
        ('priority = 1\nprofile = "nothing"\n', 2, "there is no profiles/nothing.toml"),
        ('priority = 1\nprofile = "ram-page"\nadmitt = true\n', 3, "unknown key; did you mean admit?"),
        ('priority = 1\nprofile = "ram-page"\n\n[match]\n# a board\nmodell = "x"\n', 6, "unknown key; did you mean model?"),
        ('priority = 1\nprofile = "ram-page"\n[match]\nmac = []\n', 4, "mac: expected at least one pattern"),
        ('priority = 1\nprofile = "ram-page"\nmatch = "all"\n', 3, "match: expected a table [match]"),
        (RULE.replace("ram-page", "other-page"), 1, "has the priority 10 of rules/lab.toml"),
    ],
)  # fmt: skip
def test_a_fault_in_a_rule_is_told_with_its_line(bench: Bench, text: str, line: int, words: str) -> None:
    told = findings(bench, rules__wrong=text, profiles__other_page=profile())
    assert any(finding.startswith(f"rules/wrong.toml:{line}: ") and words in finding for finding in told), told


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (profile(before='arch = "sparc"\n'), 1, "arch: expected one of amd64"),
        (profile(before='arch = "amd64"\n'), 6, "artifact vmlinuz is a kernel for arm64, the profile is for amd64"),
        (profile(before="writes_disk = true\n"), 2, 'must expect "installed"'),
        (profile().replace('"payload-up"', '"installed"'), 1, "must say writes_disk = true"),
        (profile().replace('"payload-up"', '"soon"'), 1, "expects: expected one of payload-up, installed, none"),
        (profile().replace("panic=10", "panic=10\\nrd.break"), 2, "command_line: expected printable ASCII on one line"),
        (profile().replace("panic=10", "x" * 1100), 2, "fewer than 1024 characters (armhf kernel)"),
        (profile().replace(digest(KERNEL), "a" * 64), 5, "artifact vmlinuz is not on this server"),
        (profile().replace(digest(INITRD), "A" * 64), 9, "initrd[0].sha256: expected 64 lower-case hex digits"),
        (profile().replace('name = "vmlinuz"', 'name = "vmlinuz"\nsize = 7'), 5, "the profile says 7"),
        (profile('\n[dtb]\npolicy = "file"\n'), 12, "dtb.sha256: missing"),
        (profile('\n[dtb]\npolicy = "file+fixups"\n'), 12, "dtb.sha256: missing"),
        (profile(f'\n[dtb]\npolicy = "file"\nsha256 = "{digest(INITRD)}"\n'), 14, " is not a device tree as dtc"),
        (profile(f'\n[dtb]\n[[dtb.overlay]]\nsha256 = "{digest(INITRD)}"\n'), 12, 'overlays need policy = "file+fixups"'),
        (profile(f'\n[dtb]\n[[dtb.overlay]]\nsha256 = "{digest(INITRD)}"\n'), 14, "is not a device tree overlay as dtc"),
        (profile('\n[dtb]\n[[dtb.overlay]]\nsha = "a"\n'), 13, "dtb.overlay[0].sha256: missing"),
        (profile('\n[[file]]\npath = "etc/motd"\ncontent = ""\n'), 13, "file[0].path: expected an absolute path"),
        (profile('\n[[file]]\npath = "/etc/../motd"\ncontent = ""\n'), 13, "file[0].path: expected an absolute path"),
        (profile('\n[[file]]\npath = "/bootpilot/boot.json"\ncontent = ""\n'), 13, "belongs to the agent"),
        (profile('\n[[file]]\npath = "/lib/a"\ncontent = ""\n'), 13, "expected /usr/lib/a (/lib is a link to /usr/lib"),
        (profile('\n[[file]]\npath = "/bin"\ncontent = ""\n'), 13, "expected /usr/bin (/bin is a link to /usr/bin"),
        (profile('\n[[file]]\npath = "/var/run/a"\ncontent = ""\n'), 13, "expected /run/a (/var/run is a link to /run"),
        (profile('\n[[file]]\npath = "/a"\ncontent = ""\nmode = "888"\n'), 15, "expected octal mode bits"),
        (profile('\n[[file]]\npath = "/a"\n'), 13, "exactly one of content and template"),
        (profile('\n[[file]]\npath = "/a"\ntemplate = "none"\n'), 14, "there is no templates/none"),
        (profile('\n[[file]]\npath = "/a"\ncontent = ""\n\n[[file]]\npath = "/a"\ncontent = ""\n'), 17, "/a is written twice"),
    ],
)  # fmt: skip
def test_a_fault_in_a_profile_is_told_with_its_line(bench: Bench, text: str, line: int, words: str) -> None:
    told = findings(bench, profiles__ram_page=text)
    assert any(finding.startswith(f"profiles/ram-page.toml:{line}: ") and words in finding for finding in told), told
    assert in_force(bench) == 0


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("fine\n{{ node.id \n", 2, "unexpected end of template"),
        ("fine\n{{ nodes.id }}\n", 2, "unknown variable nodes"),
        ("{% include 'elsewhere' %}\n", 1, "includes elsewhere"),
    ],
)
def test_a_fault_in_a_template_is_told_with_its_line(bench: Bench, text: str, line: int, words: str) -> None:
    told = findings(bench, templates__motd=text)
    assert any(finding.startswith(f"templates/motd:{line}: ") and words in finding for finding in told), told


def test_all_faults_are_told_at_once(bench: Bench) -> None:
    told = findings(bench, rules__one="priority = x\n", rules__two="priority = -1\n", templates__motd="{{ nobody }}")
    assert {finding.split(":")[0] for finding in told} == {"rules/one.toml", "rules/two.toml", "templates/motd"}


def test_a_kernel_that_looks_like_none_is_a_warning_and_no_more(bench: Bench) -> None:
    applied = bench.apply(profiles__ram_page=profile().replace(digest(KERNEL), digest(INITRD)))
    assert len(applied.findings) == 1
    assert str(applied.findings[0]).startswith(
        "profiles/ram-page.toml:5: warning: artifact vmlinuz does not look like a kernel"
    )
    assert applied.is_usable


@pytest.mark.parametrize("path", ["/usr/lib/a", "/library/a", "/opt/bin/a", "/var/running"])
def test_a_file_in_a_folder_that_is_one_in_every_payload_is_fine(bench: Bench, path: str) -> None:
    assert findings(bench, profiles__ram_page=profile(f'\n[[file]]\npath = "{path}"\ncontent = ""\n')) == []


@pytest.mark.parametrize(
    ("stray", "told"),
    [
        ("rule/lab.toml", "rule:1: is in no folder that counts; did you mean rules/?"),
        ("profile/web.toml", "profile:1: is in no folder that counts; did you mean profiles/?"),
        ("Templates/motd", "Templates:1: is in no folder that counts; did you mean templates/?"),
        (
            "lab.toml",
            "lab.toml:1: is in no folder that counts; rules stand in rules/, profiles in profiles/, loaders in loaders/",
        ),
    ],
)
def test_what_is_next_to_the_folders_that_count_and_may_be_meant_is_refused(bench: Bench, stray: str, told: str) -> None:
    path = write_site(bench.folder / "site") / stray
    path.parent.mkdir(exist_ok=True)
    path.write_text("priority = 1\n")
    applied = bench.apply()
    assert ([str(finding) for finding in applied.findings], applied.is_usable) == ([told], False)


def test_other_neighbours_are_named_and_no_more(bench: Bench) -> None:
    site = write_site(bench.folder / "site")
    (site / "notes").mkdir()
    for name in ("README.md", "LICENSE", ".gitignore", "lab.toml~", "list.csv"):
        (site / name).write_text("text")
    applied = bench.apply()
    assert [str(finding) for finding in applied.findings] == [
        f"{name}:1: warning: is in no folder that counts (profiles, rules, loaders, templates) and is left out"
        for name in ("list.csv", "notes")
    ]
    assert applied.is_usable


def test_rules_that_no_board_can_match_together_may_share_a_priority(bench: Bench) -> None:
    assert findings(bench, rules__pc=RULE.replace("arm64", "amd64"), profiles__other=profile()) == []


def test_a_board_that_matches_two_rules_that_looked_apart_waits(bench: Bench) -> None:
    one = 'priority = 20\nprofile = "ram-page"\n[match]\ncompatible = "radxa,rock-5b"\n'
    other = 'priority = 20\nprofile = "other"\n[match]\ncompatible = "rockchip,*"\n'
    assert findings(bench, rules__one=one, rules__other=other, profiles__other=profile()) == []
    plan = bench.plan(make_report())
    assert plan.wait is not None
    assert plan.wait.reason == "rule-tie"


def test_a_link_out_of_the_folder_and_a_file_that_is_not_text_are_refused(bench: Bench, tmp_path: Path) -> None:
    site = write_site(tmp_path / "links")
    (site / "templates").mkdir()
    (site / "templates" / "passwd").symlink_to("/etc/passwd")
    (site / "templates" / "latin").write_bytes(b"fine\n\xe9\n")
    told = {str(finding) for finding in check_folder(site, bench.server.artifacts).findings}
    assert "templates/passwd:1: is a link that leads out of the folder" in told
    assert "templates/latin:2: is not UTF-8" in told


def test_what_is_no_such_folder_is_said_with_a_hint(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "rule").mkdir()
    with pytest.raises(OperatorError, match="did you mean rules/"):
        check_folder(tmp_path, bench.server.artifacts)
    for folder in (tmp_path / "absent", bench.server.config.home):
        with pytest.raises(OperatorError) as caught:
            check_folder(folder, bench.server.artifacts)
        assert caught.value.hint


DOCUMENT = """\
# comment = 1
title = "a # b = [c]"
"quoted key" = 1
dotted.inner = 2
text = '''
[not.a.table]
key = 1
'''
list = [
  1, # one
  "]",
]
inline = { x = 1, y = [2] }

[table]
key = 1

[[array]]
key = "first"
[array.sub]
deep = true
[[array]]
key = 'second'
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("quoted key",), 3),
        (("dotted", "inner"), 4),
        (("text",), 5),
        (("list",), 9),
        (("inline",), 13),
        (("inline", "x"), 13),
        (("table",), 15),
        (("table", "key"), 16),
        (("array", 0, "key"), 19),
        (("array", 0, "sub", "deep"), 21),
        (("array", 1, "key"), 23),
        (("array", 1, "absent"), 22),
        (("absent",), 1),
    ],
)
def test_every_key_of_a_document_is_found_on_its_line(path: tuple[str | int, ...], line: int) -> None:
    assert tomllib.loads(DOCUMENT)
    assert line_of(key_lines(DOCUMENT), path) == line


@given(st.dictionaries(st.sampled_from(["rules/a.toml", "profiles/b.toml", "templates/c", "README.md"]), st.text(max_size=200)))
def test_no_text_whatsoever_breaks_the_check(texts: dict[str, str]) -> None:
    _, told = read_revision(texts)
    assert all(finding.line >= 1 for finding in told)
