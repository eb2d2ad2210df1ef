"""The two orders of version numbers that kernels are sorted by: Debian's, and that of boot loader entries. No I/O here."""

import re
from functools import cmp_to_key
from itertools import zip_longest

# What a name holds is short; a hostile one must not cost time.
LONGEST = 256


def compare_debian(one: str, other: str) -> int:
    """Negative, 0 or positive as dpkg orders these upstream versions (deb-version(7), "Sorting algorithm")."""
    parts = re.compile(r"([^0-9]*)([0-9]*)")
    pairs = zip_longest(parts.findall(one[:LONGEST]), parts.findall(other[:LONGEST]), fillvalue=("", ""))
    for (text, digits), (other_text, other_digits) in pairs:
        if text != other_text:
            mine, others = _debian_letters(text), _debian_letters(other_text)
            if mine != others:
                return -1 if mine < others else 1
        if int(digits or 0) != int(other_digits or 0):
            return int(digits or 0) - int(other_digits or 0)
    return 0


def _debian_letters(text: str) -> list[int]:
    """`~` before the end, the end before letters, letters before everything else."""
    ranks = [-1 if char == "~" else ord(char) if char.isalpha() else ord(char) + 0x110000 for char in text]
    return [*ranks, 0]


def compare_entries(one: str, other: str) -> int:
    """The same in the order of the UAPI group's version format specification, which systemd-boot sorts entries by."""
    left, right = _entry_characters(one), _entry_characters(other)
    while left or right:
        if (order := _compare_heads(left, right)) is not None:
            return order
        taken = r"[0-9]+" if left[:1].isdigit() or right[:1].isdigit() else r"[A-Za-z]+"
        mine, others = _head(taken, left), _head(taken, right)
        left, right = left[len(mine) :], right[len(others) :]
        if taken == r"[0-9]+":
            # "If either is empty" counts as less than a number, even 0.
            values = (int(mine) if mine else -1, int(others) if others else -1)
        else:
            values = (0, 0) if mine == others else (0, 1) if mine < others else (1, 0)
        if values[0] != values[1]:
            return -1 if values[0] < values[1] else 1
        if not mine and not others:  # both stand before what is neither digit nor letter
            left, right = left[1:], right[1:]
    return 0


def _entry_characters(version: str) -> str:
    """Only these count (item 1 of the specification)."""
    return re.sub(r"[^0-9A-Za-z.~^-]", "", version[:LONGEST])


def _compare_heads(left: str, right: str) -> int | None:
    """By the separators, of which `~` is least, then the end, `-`, `^`, `.`; None where both begin with digits or letters."""
    for mark, with_mark in (("~", -1), ("", -1), ("-", -1), ("^", -1), (".", -1)):
        mine = not left if mark == "" else left.startswith(mark)
        others = not right if mark == "" else right.startswith(mark)
        if mine and others:
            return None
        if mine or others:
            return with_mark if mine else -with_mark
    return None


def _head(pattern: str, text: str) -> str:
    found = re.match(pattern, text)
    return found[0] if found else ""


debian_key = cmp_to_key(compare_debian)
