"""Selectors: what they mean, how they are written in files and on the command line, and when two of them can meet."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootpilot_agent.evidence import EvidenceKind
from bootpilot_agent.inventory import Disk, Transport
from bootpilot_server.deciding.facts import FACTS, LABEL, MANY_FACTS, NUMBER_FACTS, facts_of
from bootpilot_server.deciding.recipes import Condition
from bootpilot_server.deciding.selection import (
    SelectorError,
    could_meet,
    looks_apart,
    parse_selector_words,
    to_words,
    why_not,
)
from tests.fakes.bench import Bench
from tests.fakes.reports import make_report, piece
from tests.fakes.site import profile

NODE = "00000000-0000-4000-8000-00000000000a"


def disk(size_gb: int, *, boot_medium: bool = False) -> Disk:
    return Disk("sda", size_gb * 10**9, Transport.SATA, "Disk", "s1", boot_medium, "/devices/sda")


def means(*words: str) -> bool:
    """Whether these words mean a ROCK 5B with 8 GiB, 8 CPUs and disks of 500 and 120 GB, in slot 12 of rack r7."""
    report = make_report()
    disks = (disk(120), disk(500), disk(2000, boot_medium=True))
    report = replace(report, inventory=replace(report.inventory, disks=disks))
    facts = facts_of(NODE, report, name="web-12", labels={"rack": "R7", "slot": "12", "role": "web"})
    return not why_not(parse_selector_words(words), facts)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("arch = arm64", True),
        ("arch=ARM64", True),
        ("arch != arm64", False),
        ("not arch = arm64", False),
        ("not arch != arm64", True),
        ("model = *rock 5?", True),
        ("model = *rock ?", False),
        ('model = ["Radxa*", "Orange*"]', True),
        ("model = [Orange*, Radxa*]", True),
        ("not model = [Orange*, Banana*]", True),
        ("compatible = radxa,rock-5b", True),
        ("compatible = 'rockchip,*'", True),
        ("not compatible = rockchip,*", False),
        ("memory_mib >= 8192", True),
        ("memory_mib > 8192", False),
        ("memory_mib = 8192", True),
        ('memory_mib = ">= 4096 and < 8192"', False),
        ("memory_mib = [< 1024, >= 8000 and <= 9000]", True),
        ("not cpus < 4", True),
        ("cpus = 8", True),
        ("cpus = [2, 4]", False),
        ("disks = 2", True),
        ("disk_gb >= 500", True),
        ("disk_gb > 500", False),
        ("name = web-*", True),
        ("label.rack = r7", True),
        ("label.rack = [r6, r7]", True),
        ("label.rack != r7", False),
        ("label.slot >= 9", True),
        ("label.slot < 9", False),
        ("label.role > 9", False),
        ("not label.role > 9", True),
        ("label.row = *", False),
        ("not label.row = *", True),
        ("label.row != 3", True),
        ("simulated = false", True),
    ],
)
def test_a_selector_means_what_it_says(word: str, expected: bool) -> None:
    assert means(word) is expected


def test_every_condition_must_hold() -> None:
    assert means("arch = arm64", "label.rack = r7", "memory_mib >= 4096", "memory_mib < 16384")
    assert not means("arch = arm64", "label.rack = r7", "memory_mib < 4096")
    assert means()


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("arch", "expected FACT = VALUE; for example"),
        ("arch arm64", "expected FACT = VALUE"),
        ("", "expected FACT = VALUE"),
        ("modelx = x", "did you mean model?"),
        ("rack = r7", "(a label is written label.rack)"),
        ("state = failed", "there is no fact 'state'"),
        ("label.Rack = r7", "a label's key is lower-case letters"),
        ("label. = r7", "a label's key"),
        ("arch = arm46", "did you mean arm64?"),
        ("arch = sparc", "expected one of amd64, arm64"),
        ("kexec-works = yes", "expected one of true, false"),
        ("model >= 4", "model is text and has no size"),
        ("cpus = many", "expected a number or a comparison"),
        ("cpus = *", "expected a number or a comparison"),
        ("cpus >= 4 or 5", "expected a number or a comparison"),
        ("cpus = > 4 and < 4", "no number is > 4 and < 4"),
        ("label.slot >= low", "expected a number or a comparison"),
        ("model = ", "expected 1 to 256 printable characters"),
        ("model = []", "expected at least one pattern"),
        ("model = a\nb", "printable"),
        ("model = " + "x" * 300, "expected 1 to 256"),
    ],
)
def test_words_that_are_no_selector_are_refused_with_what_would_be_one(word: str, told: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse_selector_words([word])
    assert told in str(caught.value)


def test_what_failed_is_told_with_the_value_that_the_node_has() -> None:
    facts = facts_of(NODE, make_report(), labels={"rack": "r7"})
    assert why_not(parse_selector_words(["cpus > 8"]), facts) == "cpus is '8', it wants '> 8'"
    ruled_out = why_not(parse_selector_words(["not label.rack = [r6, r7]"]), facts)
    assert ruled_out == "label.rack is 'r7', it wants not 'r6' or 'r7'"
    assert why_not(parse_selector_words(["label.row = 3"]), facts) == "label.row is not known, it wants '3'"


def test_a_node_that_was_announced_and_never_reported_is_meant_by_what_it_was_announced_with() -> None:
    facts = facts_of(NODE, None, name="db-1", labels={"rack": "r1"}, evidence=[piece(EvidenceKind.MAC, "02:00:00:00:00:01")])
    assert not why_not(parse_selector_words(["name = db-*", "label.rack = r1", "mac = 02:*", "not arch = arm64"]), facts)
    assert why_not(parse_selector_words(["cpus >= 0"]), facts)


RULE = 'priority = 1\nprofile = "ram-page"\nadmit = true\n'
MATCH = """
[match]
arch = ["arm64", "amd64"]
memory_mib = ">= 2048"
cpus = 8
simulated = false
label.rack = "r7"
label.slot = [1, 2, ">= 10"]
[match.not]
model = "*Pi 5*"
label.role = "db"
"""


def test_a_rules_file_says_the_same_as_the_words_of_the_command_line(bench: Bench) -> None:
    applied = bench.apply(rules__new=RULE + MATCH)
    assert applied.findings == ()
    rule = next(rule for rule in applied.revision.rules if rule.name == "new")
    words = [
        *("arch = [arm64, amd64]", "memory_mib >= 2048", "cpus = 8", "simulated = false", "label.rack = r7"),
        *("label.slot = [1, 2, >= 10]", "not model = *Pi 5*", "label.role != db"),
    ]
    assert sorted(rule.conditions, key=repr) == sorted(parse_selector_words(words), key=repr)


def test_a_table_of_labels_is_the_same_as_labels_with_their_dot(bench: Bench) -> None:
    one = bench.apply(rules__new=RULE + '[match.label]\nrack = "r7"\n[match.not.label]\nrow = "1"\n').revision
    two = bench.apply(rules__new=RULE + '[match]\nlabel.rack = "r7"\nnot.label.row = "1"\n').revision
    assert one.rules == two.rules
    assert one.rules[-1].conditions == parse_selector_words(["label.rack = r7", "label.row != 1"])


def test_comparisons_as_the_first_release_wrote_them_still_count(bench: Bench) -> None:
    revision = bench.apply(rules__new=RULE + "[match]\nmemory_at_least_mib = 2048\ncpus_at_least = 4\n").revision
    assert revision.rules[-1].conditions == parse_selector_words(["memory_mib >= 2048", "cpus >= 4"])


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ('[match]\nmodelx = "x"\n', 5, "match.modelx: unknown key; did you mean model?"),
        ('[match]\n[match.not]\nmodelx = "x"\n', 6, "match.not.modelx: unknown key; did you mean model?"),
        ('[match]\nmemory_mib = "2 GB"\n', 5, "match.memory_mib: expected a number or a comparison"),
        ('[match]\nlabel.Rack = "x"\n', 5, "match.label.Rack: a label's key is"),
        ("[match]\nmodel = 1.5\n", 5, "match.model: expected text, a whole number, true, false or a list"),
        ('[match.not]\narch = "arm46"\n', 5, "match.not.arch: no board's arch is 'arm46'; did you mean arm64?"),
        ('[match]\nnot = "arm64"\n', 5, "match.not: expected a table [not]"),
        ('[match]\nlabel = "r7"\n', 5, "match.label: expected a table [label]"),
    ],
)
def test_a_fault_in_a_selector_is_told_with_its_file_and_line(bench: Bench, text: str, line: int, told: str) -> None:
    findings = [str(finding) for finding in bench.apply(rules__new=RULE + text).findings]
    assert any(finding.startswith(f"rules/new.toml:{line}: {told}") for finding in findings), findings


def test_a_rule_that_nobody_can_match_is_named(bench: Bench) -> None:
    applied = bench.apply(rules__new=RULE + '[match]\ncompatible = "radxa,rock-5b"\n[match.not]\ncompatible = "radxa,*"\n')
    assert [str(finding) for finding in applied.findings] == ["rules/new.toml:4: warning: no board can match all of this"]
    assert applied.is_usable


def tie(bench: Bench, one: str, other: str) -> bool:
    texts = {"one": f'priority = 20\nprofile = "ram-page"\n{one}', "two": f'priority = 20\nprofile = "other"\n{other}'}
    applied = bench.apply(rules__one=texts["one"], rules__two=texts["two"], profiles__other=profile())
    return any("a board could match both" in finding.reason for finding in applied.findings)


@pytest.mark.parametrize(
    ("one", "other", "is_tie"),
    [
        ('match.memory_mib = "< 2048"', 'match.memory_mib = ">= 2048"', False),
        ('match.memory_mib = "<= 2048"', 'match.memory_mib = ">= 2048"', True),
        ('match.label.rack = "r1"', 'match.label.rack = ["r2", "r3"]', False),
        ('match.label.rack = "r1"', "match.label.rack = 'r?'", True),
        ('match.label.rack = "r1"', 'match.not.label.rack = "r*"', False),
        ('match.label.slot = "4"', 'match.label.slot = ">= 8"', False),
        ('match.label.slot = "8"', 'match.label.slot = ">= 8"', True),
        ('match.model = "*Pi 4*"', 'match.not.model = "*Pi*"', False),
        ('match.model = "*Pi*"', 'match.not.model = "*Pi 4*"', True),
        ('match.mac = "02:00:00:00:00:01"', 'match.mac = "02:00:00:00:00:02"', False),
        ('match.label.rack = "r1"', 'match.label.row = "1"', True),
    ],
)
def test_check_tells_rules_of_one_priority_that_could_meet_from_those_that_cannot(
    bench: Bench, one: str, other: str, is_tie: bool
) -> None:
    assert tie(bench, one, other) is is_tie


# Few letters and numbers, so that chance makes patterns that fit, meet and cover each other.
WORDS = st.text("ab1", min_size=1, max_size=3)
GLOBS = st.text("aAb1*?", min_size=1, max_size=4)
NUMBERS = st.integers(-2, 6).map(str)
COMPARISONS = st.one_of(
    st.tuples(st.sampled_from(["<", "<=", ">", ">="]), NUMBERS).map(" ".join),
    st.tuples(NUMBERS, NUMBERS).map(lambda pair: f">= {pair[0]} and < {pair[1]}"),
)
TEXT_FACTS = ("model", "enable-method", "compatible", "mac")
LABELS = (f"{LABEL}a", f"{LABEL}b")


def conditions_of(fact: str) -> st.SearchStrategy[Condition]:
    patterns = NUMBERS | COMPARISONS if fact in NUMBER_FACTS else GLOBS | COMPARISONS if fact in LABELS else GLOBS
    return st.builds(Condition, st.just(fact), st.lists(patterns, min_size=1, max_size=3).map(tuple), st.booleans())


SELECTORS = st.lists(st.sampled_from([*TEXT_FACTS, *LABELS, "cpus"]).flatmap(conditions_of), max_size=4)


@st.composite
def nodes(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    facts: dict[str, tuple[str, ...]] = {}
    for fact in (*TEXT_FACTS, *LABELS, "cpus"):
        values = NUMBERS if fact == "cpus" else WORDS | NUMBERS if fact in LABELS else WORDS
        facts[fact] = tuple(draw(st.lists(values, max_size=2 if fact in MANY_FACTS else 1)))
    return facts


@settings(max_examples=400, deadline=None)
@given(SELECTORS, SELECTORS, st.lists(nodes(), min_size=1, max_size=12))
def test_two_selectors_that_are_said_never_to_meet_mean_no_node_in_common(
    one: list[Condition], other: list[Condition], boards: list[dict[str, tuple[str, ...]]]
) -> None:
    common = [facts for facts in boards if not why_not(one, facts) and not why_not(other, facts)]
    assert could_meet(one, other) or not common
    single = [facts for facts in common if all(len(values) < 2 for values in facts.values())]
    assert not looks_apart(one, other) or not single


@settings(max_examples=200, deadline=None)
@given(SELECTORS, nodes())
def test_a_selector_that_means_a_node_meets_itself_and_the_one_that_means_all(
    one: list[Condition], facts: dict[str, tuple[str, ...]]
) -> None:
    if not why_not(one, facts):
        assert could_meet(one, one)
        assert could_meet(one, [])


PRINTED = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), min_size=1, max_size=20).filter(str.isprintable)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.builds(Condition, st.just("model"), st.lists(PRINTED, min_size=1, max_size=3).map(tuple), st.booleans())))
def test_conditions_written_as_words_are_read_as_they_were(conditions: list[Condition]) -> None:
    sizeless = [item for item in conditions if not any(pattern[0] in "<>" for pattern in item.patterns)]
    assert list(parse_selector_words(to_words(sizeless))) == sizeless


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([*LABELS, "cpus"]).flatmap(conditions_of))
def test_comparisons_written_as_words_are_read_as_they_were(condition: Condition) -> None:
    try:
        read = parse_selector_words(to_words([condition]))
    except SelectorError as error:
        assert "no number is" in str(error)  # noqa: PT017 (a contradiction by chance: it is refused, not misread)
    else:
        assert read == (condition,)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_no_word_whatsoever_does_more_than_be_refused(word: str) -> None:
    try:
        parse_selector_words([word])
    except SelectorError as error:
        assert str(error)  # noqa: PT017


def test_every_fact_of_a_report_has_a_name_that_selectors_know() -> None:
    assert set(facts_of(NODE, make_report())) == set(FACTS)
