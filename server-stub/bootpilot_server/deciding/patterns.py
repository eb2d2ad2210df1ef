"""One pattern of a selector: text with the wildcards * and ?, or a comparison of numbers. No I/O here.

Case does not matter. There are no other wildcards: a model name may hold brackets. What is said here of two patterns (that
no value fits both, that one covers the other) is never said wrongly; where it cannot be told, the answer is the careful one.
"""

import difflib
import re
from dataclasses import dataclass
from functools import cache, lru_cache

from bootpilot_server.deciding.facts import CLOSED_FACTS, NUMBER_FACTS, is_label

MAX_PATTERN = 256
WILD = frozenset("*?")
NUMBER = r"-?\d{1,18}(?:\.\d{1,9})?"
_COMPARISON = re.compile(rf"(<=|>=|<|>)\s*({NUMBER})")
_INFINITY = float("inf")


@dataclass(frozen=True)
class Span:
    """The numbers from `low` to `high`; an open end is not part of it."""

    low: float = -_INFINITY
    high: float = _INFINITY
    low_open: bool = False
    high_open: bool = False

    def holds(self, number: float) -> bool:
        above = number > self.low if self.low_open else number >= self.low
        below = number < self.high if self.high_open else number <= self.high
        return above and below

    def cut(self, other: "Span") -> "Span":
        """What both hold."""
        low, low_open = max((self.low, self.low_open), (other.low, other.low_open))
        high, high_closed = min((self.high, not self.high_open), (other.high, not other.high_open))
        return Span(low, high, low_open, not high_closed)

    @property
    def is_empty(self) -> bool:
        return self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))


@lru_cache(maxsize=65536)
def fits(fact: str, pattern: str, value: str) -> bool:
    """Whether a value of this fact fits a pattern."""
    span = span_of(fact, pattern)
    if span is not None:
        number = _number(value)
        return number is not None and span.holds(number)
    return fact not in NUMBER_FACTS and _compiled(pattern).fullmatch(value.casefold()) is not None


def could_both_fit(fact: str, one: str, other: str) -> bool:
    """False only if no value of this fact fits both patterns."""
    mine, theirs = span_of(fact, one), span_of(fact, other)
    if mine is not None and theirs is not None:
        return not mine.cut(theirs).is_empty
    if mine is not None or theirs is not None:
        span, text = (mine, other) if mine is not None else (theirs, one)
        return bool(WILD & set(text)) or (span is not None and fits(fact, one if mine is not None else other, text))
    return _meet(one.casefold(), other.casefold())


def covers(fact: str, wide: str, narrow: str) -> bool:
    """True only if every value that fits `narrow` fits `wide` too."""
    if not WILD & set(narrow) and span_of(fact, narrow) is None:
        return fits(fact, wide, narrow)
    outer, inner = span_of(fact, wide), span_of(fact, narrow)
    if outer is not None and inner is not None:
        return inner.cut(outer) == inner
    if outer is not None or inner is not None:
        # Whatever stands there, `*` takes it; anything else between text and numbers is too fine a point.
        return wide.strip("*") == "" and outer is None
    return _covers(wide.casefold(), narrow.casefold())


def pattern_fault(fact: str, pattern: str) -> str:
    """What is wrong with a pattern for this fact, "" if nothing."""
    if not 1 <= len(pattern) <= MAX_PATTERN or not pattern.isprintable():
        return f"expected 1 to {MAX_PATTERN} printable characters, got {len(pattern)}: {pattern[:40]!r}"
    compares = pattern[0] in "<>"
    if fact in NUMBER_FACTS or (compares and is_label(fact)):
        fault = f'expected a number or a comparison such as ">= 4" or ">= 4 and < 16", got {pattern!r}'
        span = span_of(fact, pattern)
        if span is None:
            return fault
        return f"no number is {pattern}" if span.is_empty else ""
    if compares:
        return f"{fact} is text and has no size; numbers are {', '.join(NUMBER_FACTS)} and labels"
    if fact in CLOSED_FACTS and not any(fits(fact, pattern, value) for value in CLOSED_FACTS[fact]):
        near = difflib.get_close_matches(pattern.lower(), CLOSED_FACTS[fact], n=1)
        known = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(CLOSED_FACTS[fact])}"
        return f"no board's {fact} is {pattern!r}; {known}"
    return ""


@lru_cache(maxsize=4096)
def span_of(fact: str, pattern: str) -> Span | None:
    """The numbers that a comparison means; None for a pattern of text. Only numbers and labels can be compared."""
    if fact in NUMBER_FACTS and re.fullmatch(NUMBER, pattern):
        return Span(float(pattern), float(pattern))
    if pattern[:1] not in ("<", ">") or not (fact in NUMBER_FACTS or is_label(fact)):
        return None
    span = Span()
    for part in pattern.split(" and "):
        found = _COMPARISON.fullmatch(part.strip())
        if found is None:
            return None
        bound, is_open = float(found[2]), len(found[1]) == 1
        half = Span(high=bound, high_open=is_open) if found[1][0] == "<" else Span(low=bound, low_open=is_open)
        span = span.cut(half)
    return span


def _number(value: str) -> float | None:
    return float(value) if re.fullmatch(NUMBER, value.strip()) else None


def _meet(a: str, b: str) -> bool:
    """True if some text fits both globs."""
    if not (WILD & set(a) or WILD & set(b)):
        return a == b

    @cache
    def meet(i: int, j: int) -> bool:
        if i == len(a) or j == len(b):
            return set(a[i:] + b[j:]) <= {"*"}
        if a[i] == "*":
            return meet(i + 1, j) or meet(i, j + 1)
        if b[j] == "*":
            return meet(i, j + 1) or meet(i + 1, j)
        return (a[i] == b[j] or "?" in (a[i], b[j])) and meet(i + 1, j + 1)

    return meet(0, 0)


def _covers(wide: str, narrow: str) -> bool:
    """True only if every text that fits `narrow` fits `wide`: narrow's own wildcards are read as if they were characters."""

    @cache
    def cover(i: int, j: int) -> bool:
        if i == len(wide):
            return j == len(narrow)
        if wide[i] == "*":
            return cover(i + 1, j) or (j < len(narrow) and cover(i, j + 1))
        if j == len(narrow) or narrow[j] == "*":
            return False
        return (wide[i] == narrow[j] or wide[i] == "?") and cover(i + 1, j + 1)

    return cover(0, 0)


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    marks = {"*": ".*", "?": "."}
    return re.compile("".join(marks.get(char) or re.escape(char) for char in pattern.casefold()), re.DOTALL)
