"""Reads rules/NAME.toml into a Rule, and finds rules that would contradict each other. No I/O here."""

from collections.abc import Iterable
from dataclasses import replace

from bootpilot_server.deciding.end_date import end_of
from bootpilot_server.deciding.facts import FACTS, LABEL
from bootpilot_server.deciding.recipes import MAX_RULE_PRIORITY, Condition, Rule
from bootpilot_server.deciding.selection import condition_fault, could_meet, looks_apart
from bootpilot_server.site_folder.findings import Table
from bootpilot_server.site_folder.local_recipes import read_install_key

MAX_COUNT = 10_000_000
# How rules of the first release compared numbers.
AT_LEAST = {"memory_at_least_mib": "memory_mib", "cpus_at_least": "cpus"}


def read_rule(name: str, table: Table, profiles: frozenset[str]) -> Rule:
    """Faults go into the table's document; what comes back is whole only if there are none."""
    profile = table.text("profile", expected="the name of a profile")
    rule = replace(
        read_selector(name, table, profile),
        admit=table.flag("admit", False),
        max_count=table.number("max_count", 0, least=1, most=MAX_COUNT) if table.has("max_count") else 0,
        until=_until(table),
        install=read_install_key(table),
    )
    for key in ("max_count", "until"):
        if table.has(key) and not rule.admit:
            table.fault(key, "limits whom `admit = true` lets in, which this rule does not say")
    if profile and profile not in profiles:
        table.fault("profile", f"there is no profiles/{profile}.toml")
    table.close()
    return rule


def _until(table: Table) -> float | None:
    if not table.has("until"):
        return None
    try:
        return end_of(table.values["until"])
    except ValueError as error:
        table.fault("until", f"expected {error}, got {table.values['until']!r}")
        return None


def read_selector(name: str, table: Table, outcome: str) -> Rule:
    """`priority` and `[match]`, which say who gets the outcome. The table stays open."""
    return Rule(
        name=name,
        priority=table.number("priority", most=MAX_RULE_PRIORITY),
        profile=outcome,
        conditions=read_conditions(table.table("match")),
    )


def read_conditions(match: Table) -> tuple[Condition, ...]:
    """Every line of [match] must hold, and none of [match.not]. Labels stand in a table [match.label] or with their dot."""
    conditions = [*_facts(match, negated=False), *_facts(match.table("not"), negated=True)]
    conditions += [_at_least(key, fact, match) for key, fact in AT_LEAST.items() if match.has(key)]
    match.close()
    if not could_meet(conditions, ()):
        match.document.fault(match.path, "no board can match all of this", warning=True)
    return tuple(conditions)


def _facts(table: Table, *, negated: bool) -> list[Condition]:
    labels = table.table("label")
    found = [_condition(fact, fact, table, negated) for fact in FACTS if table.has(fact)]
    found += [_condition(key, LABEL + key, labels, negated) for key in labels.values if labels.has(key)]
    if negated:
        table.close()
    return found


def _condition(key: str, fact: str, table: Table, negated: bool) -> Condition:
    condition = Condition(fact, table.scalars(key), negated)
    if fault := condition_fault(condition):
        table.fault(key, fault)
    return condition


def _at_least(key: str, fact: str, match: Table) -> Condition:
    return Condition(fact, (f">= {match.number(key)}",))


def ties(rules: Iterable[Rule]) -> list[tuple[Rule, Rule]]:
    """Pairs of one priority that could select the same board and would give it different plans."""
    found = []
    ordered = sorted(rules, key=lambda rule: (rule.priority, rule.name))
    for index, rule in enumerate(ordered):
        for other in ordered[index + 1 :]:
            if other.priority != rule.priority:
                break
            differ = _outcome(rule) != _outcome(other)
            if differ and not looks_apart(rule.conditions, other.conditions):
                found.append((rule, other))
    return found


def _outcome(rule: Rule) -> tuple[object, ...]:
    return (rule.profile, rule.install, rule.admit, rule.max_count, rule.until)
