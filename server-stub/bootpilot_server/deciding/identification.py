"""Which known node a report comes from, by graded evidence. No I/O here.

The comparison happens at the best grade that both sides have at all: agreement below it never outvotes disagreement at it. So
a card or a USB network adapter moved to another board does not take the board's name along, and a board whose serial number
is unknown to the server is never taken for one that merely shares a cloned MAC.

What a node showed once and does not show any more still denies (a board with another serial number is another board), but it
names the node only where nobody is named by what nodes show today: an adapter that was given away goes with its new owner.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from bootpilot_agent.evidence import Evidence, EvidenceKind, Grade


@dataclass(frozen=True)
class KnownNode:
    """What the server remembers about a node's identity. `former` is what it showed once and not in its last report.

    `approved`: a person, a list, a batch or a rule has let it in, which nobody makes up by sending a report.
    """

    node_id: str
    evidence: frozenset[Evidence]
    former: frozenset[Evidence] = frozenset()
    approved: bool = False


@dataclass(frozen=True)
class Match:
    """The one node that the evidence names, and the grade on which it agreed."""

    node_id: str
    grade: Grade
    because: str


@dataclass(frozen=True)
class Unknown:
    """Nobody the server knows: a new board."""


@dataclass(frozen=True)
class Conflict:
    """Several nodes are named equally well, or one is both named and denied. A person must look."""

    node_ids: tuple[str, ...]
    because: str


class _Relation(Enum):
    AGREES = "agrees"
    CONTRADICTS = "contradicts"
    DIFFERS = "differs"


@dataclass(frozen=True)
class _Comparison:
    node_id: str
    relation: _Relation
    grade: Grade
    because: str
    is_whole: bool = True
    is_approved: bool = False


def match_node(evidence: Iterable[Evidence], nodes: Iterable[KnownNode]) -> Match | Unknown | Conflict:
    """The outcome does not depend on the order of either argument; evidence of grade NONE never counts."""
    shown, known = frozenset(evidence), list(nodes)
    today = _sole_best([_compare(shown, node, node.evidence) for node in known])
    if not isinstance(today, Unknown):
        return today
    return _sole_best([_compare(shown, node, node.evidence | node.former) for node in known])


def _sole_best(compared: Iterable[_Comparison]) -> Match | Unknown | Conflict:
    ordered = sorted(compared, key=lambda found: (-found.grade, found.node_id))
    related = [found for found in ordered if found.relation is not _Relation.DIFFERS]
    if not related:
        return Unknown()
    top = [found for found in related if found.grade == related[0].grade]
    for sole in (top, *_preferred(top)):
        if len(sole) == 1 and sole[0].relation is _Relation.AGREES:
            return Match(sole[0].node_id, sole[0].grade, sole[0].because)
    return Conflict(tuple(found.node_id for found in top), "; ".join(f"node {found.node_id}: {found.because}" for found in top))


def _preferred(top: Sequence[_Comparison]) -> tuple[list[_Comparison], ...]:
    """Of several that agree by no more than an adapter or a card: those that are approved, so that made-up boards take nobody's
    place; and those that would not have shown something better, as they did in their last report.
    """
    if top[0].grade is Grade.STRONG or any(found.relation is not _Relation.AGREES for found in top):
        return ()
    return [found for found in top if found.is_approved], [found for found in top if found.is_whole]


def known_by(evidence: Iterable[Evidence]) -> Grade:
    """The best grade among the pieces: how well a node is known."""
    return max((piece.grade for piece in evidence), default=Grade.NONE)


def _compare(shown: frozenset[Evidence], node: KnownNode, naming: frozenset[Evidence]) -> _Comparison:
    """`naming` is the part of the node's evidence that may name it; all of it may deny."""
    ever = node.evidence | node.former
    level = min(known_by(shown), known_by(ever))
    mine, theirs, all_theirs = _by_kind(shown, level), _by_kind(naming, level), _by_kind(ever, level)
    common = [kind for kind in EvidenceKind if kind in mine and kind in all_theirs]
    # A kind with several values (MACs, disks) agrees if any is shared: a part was added or removed, the board is the same.
    agreeing = {kind: min(mine[kind] & theirs[kind]) for kind in common if mine[kind] & theirs.get(kind, set())}
    differing = [kind for kind in common if not mine[kind] & all_theirs[kind]]
    if level is Grade.NONE or not agreeing:
        return _Comparison(node.node_id, _Relation.DIFFERS, level, "")
    because = "same " + ", ".join(f"{kind} {value}" for kind, value in agreeing.items())
    if not differing:
        return _Comparison(node.node_id, _Relation.AGREES, level, because, known_by(node.evidence) <= level, node.approved)
    other = ", ".join(
        f"{kind} ({'/'.join(sorted(mine[kind]))} instead of {'/'.join(sorted(all_theirs[kind]))})" for kind in differing
    )
    return _Comparison(node.node_id, _Relation.CONTRADICTS, level, f"{because}, but another {other}")


def _by_kind(evidence: frozenset[Evidence], level: Grade) -> dict[EvidenceKind, set[str]]:
    """Values by kind, of pieces that count at this grade or better."""
    found: dict[EvidenceKind, set[str]] = {}
    for piece in evidence:
        if piece.grade >= level:
            found.setdefault(piece.kind, set()).add(piece.value)
    return found
