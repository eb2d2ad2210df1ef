"""Reads rules/NAME.toml into a Rule, and finds rules that would contradict each other. No I/O here."""

from collections.abc import Iterable
from dataclasses import replace

from bootpilot_server.deciding.recipes import Condition, Rule
from bootpilot_server.deciding.selection import FACTS, could_meet
from bootpilot_server.site_folder.findings import Table

MAX_PRIORITY = 1_000_000
MAX_PATTERN = 256


def read_rule(name: str, table: Table, profiles: frozenset[str]) -> Rule:
    """Faults go into the table's document; what comes back is whole only if there are none."""
    profile = table.text("profile", expected="the name of a profile")
    rule = replace(read_selector(name, table, profile), admit=table.flag("admit", False))
    if profile and profile not in profiles:
        table.fault("profile", f"there is no profiles/{profile}.toml")
    table.close()
    return rule


def read_selector(name: str, table: Table, outcome: str) -> Rule:
    """`priority` and `[match]`, which say who gets the outcome. The table stays open."""
    match = table.table("match")
    rule = Rule(
        name=name,
        priority=table.number("priority", most=MAX_PRIORITY),
        profile=outcome,
        memory_at_least_mib=match.number("memory_at_least_mib", 0),
        cpus_at_least=match.number("cpus_at_least", 0),
        conditions=tuple(_condition(fact, match) for fact in FACTS if match.has(fact)),
    )
    match.close()
    return rule


def _condition(fact: str, match: Table) -> Condition:
    patterns = match.texts(fact)
    if not patterns or any(not pattern or len(pattern) > MAX_PATTERN for pattern in patterns):
        match.fault(fact, f"expected at least one pattern of 1 to {MAX_PATTERN} characters")
    return Condition(fact, patterns)


def ties(rules: Iterable[Rule]) -> list[tuple[Rule, Rule]]:
    """Pairs of one priority that could select the same board and would give it different plans."""
    found = []
    ordered = sorted(rules, key=lambda rule: (rule.priority, rule.name))
    for index, rule in enumerate(ordered):
        for other in ordered[index + 1 :]:
            if other.priority != rule.priority:
                break
            if (rule.profile, rule.admit) != (other.profile, other.admit) and could_meet(rule, other):
                found.append((rule, other))
    return found
