"""Selectors: which nodes a rule, a rollout or a command means, and whether two of them could mean the same one. No I/O here.

A selector is a list of conditions that must all hold. The language is the same in rules' files ([match]) and on the command
line (--where), and is read from the latter here.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Sequence

from bootpilot_server.deciding.facts import MANY_FACTS, Facts, fact_fault
from bootpilot_server.deciding.patterns import could_both_fit, covers, fits, pattern_fault
from bootpilot_server.deciding.recipes import Condition

_WORDS = re.compile(r"\s*(?P<no>not\s+)?(?P<fact>[A-Za-z0-9_.-]+)\s*(?P<sign>!=|>=|<=|=|<|>)\s*(?P<value>.*?)\s*", re.DOTALL)
EXAMPLE = "for example arch = arm64, 'label.rack = [r7, r8]', 'memory_mib >= 2048' or 'not model = *Pi 5*'"


class SelectorError(Exception):
    """Words that are no selector; the message says which and why."""


def why_not(conditions: Iterable[Condition], facts: Facts) -> str:
    """The first condition that fails, as a phrase for a person; "" if the selector means this node."""
    for condition in conditions:
        values = facts.get(condition.fact, ())
        holds = any(fits(condition.fact, pattern, value) for pattern in condition.patterns for value in values)
        if holds is condition.negated:
            shown = " or ".join(repr(pattern) for pattern in condition.patterns)
            wants = f"not {shown}" if condition.negated else shown
            return f"{condition.fact} is {', '.join(map(repr, values)) or 'not known'}, it wants {wants}"
    return ""


def could_meet(one: Iterable[Condition], other: Iterable[Condition]) -> bool:
    """False only if no node whatsoever can be meant by both.

    Of a fact with several values that proves little: a board may have both `compatible` strings. See `looks_apart`.
    """
    return not _contradict([*one, *other], many_values=True)


def looks_apart(one: Iterable[Condition], other: Iterable[Condition]) -> bool:
    """True if no node can be meant by both, or only one with two values where boards mostly have one: two MAC addresses, two
    serial numbers. So authors of two rules mean it, and decide() still refuses the board that has both.
    """
    return _contradict([*one, *other], many_values=False)


def parse_selector_words(words: Iterable[str]) -> tuple[Condition, ...]:
    """`--where` texts: FACT = VALUE, FACT != VALUE, not FACT = VALUE, FACT >= NUMBER; VALUE as it is, or a list in brackets.

    Raises SelectorError.
    """
    return tuple(_parse(word) for word in words)


def to_words(conditions: Iterable[Condition]) -> list[str]:
    """The texts that `parse_selector_words` reads as these conditions."""
    return [_written(condition) for condition in conditions]


def condition_fault(condition: Condition) -> str:
    """What is wrong with a condition, "" if nothing."""
    if fault := fact_fault(condition.fact):
        return fault
    if not condition.patterns:
        return "expected at least one pattern"
    return next((fault for pattern in condition.patterns if (fault := pattern_fault(condition.fact, pattern))), "")


def _contradict(conditions: Sequence[Condition], *, many_values: bool) -> bool:
    """True if two of the conditions can never hold together. `many_values`: a node may have several values of MANY_FACTS."""
    for index, one in enumerate(conditions):
        for other in conditions[index + 1 :]:
            if one.fact != other.fact or (one.negated and other.negated):
                continue
            if one.negated or other.negated:
                if _rules_out(one if one.negated else other, other if one.negated else one):
                    return True
            elif not (many_values and one.fact in MANY_FACTS) and not _share_a_value(one, other):
                return True
    return False


def _rules_out(no: Condition, yes: Condition) -> bool:
    """Every value that fits `yes` is one that `no` must not have."""
    return all(any(covers(no.fact, wide, narrow) for wide in no.patterns) for narrow in yes.patterns)


def _share_a_value(one: Condition, other: Condition) -> bool:
    return any(could_both_fit(one.fact, mine, theirs) for mine in one.patterns for theirs in other.patterns)


def _parse(word: str) -> Condition:
    found = _WORDS.fullmatch(word)
    if found is None:
        raise SelectorError(f"{word!r}: expected FACT = VALUE; {EXAMPLE}")
    sign, negated = found["sign"], bool(found["no"])
    if sign == "!=":
        sign, negated = "=", not negated
    patterns = _values(found["value"]) if sign == "=" else (f"{sign} {found['value']}",)
    condition = Condition(found["fact"], patterns, negated)
    if fault := condition_fault(condition):
        raise SelectorError(f"{word!r}: {fault}")
    return condition


def _values(text: str) -> tuple[str, ...]:
    """A list in brackets or a text in quotes as TOML has them; a list of bare words; anything else is one value as it is."""
    if text[:1] in ("[", '"', "'"):
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = [item.strip() for item in text[1:-1].split(",")] if text[0] == "[" and text[-1] == "]" else text
        items = value if isinstance(value, list) else [value]
        return tuple(item if isinstance(item, str) else json.dumps(item) for item in items)
    return (text,)


def _written(condition: Condition) -> str:
    first = condition.patterns[0]
    no = "not " if condition.negated else ""
    if len(condition.patterns) == 1 and first[0] in "<>" and " and " not in first:
        return f"{no}{condition.fact} {first}"
    # Quoted where it would be read as something else.
    plain = len(condition.patterns) == 1 and first == first.strip() and first[0] not in "[\"'<>"
    return f"{no}{condition.fact} = " + (first if plain else json.dumps([*condition.patterns], ensure_ascii=False))
