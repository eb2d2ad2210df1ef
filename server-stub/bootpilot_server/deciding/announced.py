"""Nodes that were announced by a list before they ever reported: what their list says, read as evidence. No I/O here.

A list says "serial" and does not know whether the board will show it as its device tree's, its DMI's or its EEPROM's.
"""

import re
from collections.abc import Iterable
from enum import StrEnum

from bootpilot_agent.evidence import GRADES, Evidence, EvidenceKind, Grade, grade_evidence, is_placeholder


class Announced(StrEnum):
    """By what a list may name a board."""

    SERIAL = "serial"
    MAC = "mac"
    CARD = "card"


KINDS: dict[Announced, tuple[EvidenceKind, ...]] = {
    Announced.SERIAL: tuple(kind for kind in EvidenceKind if GRADES[kind] is Grade.STRONG),
    Announced.MAC: (EvidenceKind.MAC,),
    Announced.CARD: (EvidenceKind.CARD_CID,),
}
SOURCE = "announced by a list"
# IEEE 802: the lowest bit of the first byte marks a group of stations, which no adapter is.
GROUP_BIT = 1


def plain_value(kind: Announced, text: str) -> str:
    """The value as it is compared: labels and lists write serial numbers, MACs and CIDs in either case, MACs also with dashes.

    Raises ValueError with what was expected.
    """
    value = " ".join(text.split()).casefold()
    if kind is Announced.MAC:
        return _plain_mac(value)
    if kind is Announced.CARD and not re.fullmatch(r"(0x)?[0-9a-f]{32}", value):
        raise ValueError("a card's CID has 32 hex digits (/sys/block/mmcblk0/device/cid)")
    value = value.removeprefix("0x") if kind is Announced.CARD else value
    if is_placeholder(value):
        raise ValueError("this names nobody: vendors leave it on many boards")
    if not value.isprintable() or len(value) > 256:
        raise ValueError("at most 256 printable characters")
    return value


def announced_kind(kind: EvidenceKind) -> Announced | None:
    """The column of a list under which evidence of this kind would stand; None if under none."""
    return next((announced for announced, kinds in KINDS.items() if kind in kinds), None)


def keys_of(evidence: Iterable[Evidence]) -> set[tuple[Announced, str]]:
    """What a list would have to say to mean a board that shows this."""
    found = ((announced_kind(piece.kind), piece.value.casefold()) for piece in evidence if piece.grade > Grade.NONE)
    return {(kind, value) for kind, value in found if kind is not None}


def as_evidence(announced: Iterable[tuple[Announced, str]], shown: Iterable[Evidence]) -> frozenset[Evidence]:
    """A list's words as a node's evidence, to be compared with what a board shows.

    A serial number that the board shows anywhere is taken as that; one that it does not show denies every serial that it does.
    """
    pieces, found = list(shown), set[Evidence]()
    for kind, value in announced:
        same = {piece for piece in pieces if piece.kind in KINDS[kind] and piece.value.casefold() == value}
        kinds = {piece.kind for piece in pieces if piece.kind in KINDS[kind]} or set(KINDS[kind][:1])
        found |= same or {grade_evidence(other, value, SOURCE) for other in kinds}
    return frozenset(found)


def _plain_mac(value: str) -> str:
    digits = re.sub(r"[:-]", "", value)
    if not re.fullmatch(r"[0-9a-f]{12}", digits) or not re.fullmatch(r"([0-9a-f]{12}|([0-9a-f]{2}[:-]){5}[0-9a-f]{2})", value):
        raise ValueError("a MAC address is written 00:48:54:20:33:01")
    if int(digits[:2], 16) & GROUP_BIT:
        raise ValueError("this is the address of a group, not of an adapter")
    if is_placeholder(digits):
        raise ValueError("this names nobody")
    return ":".join(digits[place : place + 2] for place in range(0, 12, 2))
