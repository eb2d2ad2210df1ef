"""What a person says about who is who: two records are one board, one record is two, a board was replaced.

Each works inside one writing transaction, and ends only if the very next report of the board lands where it should; else it
raises and nothing has changed. Nodes from which a piece had to be taken for that are told with the rest.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, select

from bootpilot_agent.evidence import Evidence, Grade
from bootpilot_agent.fields import FieldError
from bootpilot_server.asking.merging import absorb, move_boot
from bootpilot_server.deciding.approval import BY_NAME
from bootpilot_server.deciding.identification import Conflict, Match, known_by, match_node
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.errors import OperatorError
from bootpilot_server.store import evidence_records, node_records
from bootpilot_server.store.schema import nodes

Keys = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Resolution:
    """The node that the board is from now on, what changed in words, and what would take it back."""

    node_id: str
    lines: tuple[str, ...]
    undo: str


def merge(connection: Connection, kept: NodeRecord, gone: NodeRecord, by: str, now: float) -> Resolution:
    """Both records are one board: `gone` ends in `kept`. Raises OperatorError."""
    _refuse_pair(kept, gone)
    shown = _shown(connection, gone) or _shown(connection, kept)
    given = [(piece.kind.value, piece.value) for piece in evidence_records.list_evidence(connection, gone.id)]
    evidence_records.give(connection, gone.id, kept.id, given)
    absorb(connection, gone, kept, f"merged by {by}", now)
    if gone.has_reported:
        evidence_records.expect(connection, kept.id, ())
    taken = _make_it_land(connection, shown, kept, by, now)
    lines = [f"record {gone.id} ends in {kept.id}, with {len(given)} pieces of evidence, boots, installs and history"]
    lines += _approval_lines(kept, gone)
    words = " ".join(f"--evidence '{kind}={value}'" for kind, value in given)
    undo = f"bootpilot node split {kept.id} {words}   (as a new node; boots and history stay)" if given else ""
    return Resolution(kept.id, (*lines, *taken, *settle_conflicts(connection, now)), undo)


def split(connection: Connection, node: NodeRecord, keys: Keys, shared: Keys, by: str, now: float) -> Resolution:
    """The record is two boards: `keys` are the other one's, which becomes a node of its own; `shared` names neither."""
    own = {(piece.kind.value, piece.value) for piece in evidence_records.list_evidence(connection, node.id)}
    for kind, value in (*keys, *shared):
        if (kind, value) not in own:
            raise OperatorError(f"node {node.id} has no evidence {kind}={value}", f"`bootpilot node show {node.id}` lists it")
    for kind, value in shared:
        evidence_records.share(connection, kind, value, by, now)
    other_id, shown = str(uuid.uuid4()), _shown(connection, node)
    is_the_other = any((piece.kind.value, piece.value) in set(keys) for piece in shown)
    _add_other(connection, node, other_id, now, is_the_other=is_the_other)
    evidence_records.give(connection, node.id, other_id, keys)
    left, taken = evidence_records.known_nodes(connection, [node.id, other_id])
    for known, what in ((left, "would be left"), (taken, "would be split off")):
        if known_by(known.evidence | known.former) is Grade.NONE:
            raise OperatorError(f"nothing that names a board {what}", "choose the evidence of one of the two boards")
    told = ", ".join(f"{kind}={value}" for kind, value in keys)
    node_records.add_history(connection, node.id, f"{told} went to a node of its own, {other_id} ({by})", now)
    node_records.add_history(connection, other_id, f"split from node {node.id} with {told} ({by})", now)
    found = node_records.find_node(connection, other_id if is_the_other else node.id)
    lines = [f"{told} leave {node.id} and become node {other_id}, which is not approved"]
    lines += [f"{kind}={value} names no board any more, on this whole site" for kind, value in shared]
    lines += [f"the board that asked last is {found.id}"] if found and shown else []
    if len({(piece.kind.value, piece.value) in set(keys) for piece in shown if piece.grade is known_by(shown)}) > 1:
        raise OperatorError("its last report shows evidence of both: that is one board", "an adapter moves along by itself")
    if found and shown:
        _refuse_miss(connection, shown, found)
    undo = f"bootpilot node merge {node.id} {other_id}"
    return Resolution(other_id, (*lines, *settle_conflicts(connection, now)), undo)


def replace_board(connection: Connection, old: NodeRecord, new: NodeRecord, by: str, now: float) -> Resolution:
    """`old` has another board now (a repair), or another card: the one that reports as `new`. Raises OperatorError."""
    _refuse_pair(old, new)
    if not new.has_reported:
        raise OperatorError(f"node {new.id} has never reported", "the new board must have asked once")
    given = [(piece.kind.value, piece.value) for piece in evidence_records.list_evidence(connection, new.id)]
    before = [(piece.kind.value, piece.value) for piece in evidence_records.list_evidence(connection, old.id)]
    lost = [key for key in before if key not in given]
    shown = _shown(connection, new)
    evidence_records.take_away(connection, old.id, lost, f"replaced by {by}", now)
    evidence_records.expect(connection, old.id, ())
    evidence_records.give(connection, new.id, old.id, given)
    absorb(connection, new, old, f"its board or card was replaced by {by}", now)
    if old.approved_at is not None:
        node_records.change_node(connection, old.id, approval=BY_NAME, approved_by=by, approved_grade=known_by(shown).value)
    taken = _make_it_land(connection, shown, old, by, now)
    lines = [f"node {old.id} {old.name}".rstrip() + f" is the board that reports as {new.id} from now on"]
    lines += ["it keeps its name, labels, approval and installs; `bootpilot node reinstall` if its disk is new"]
    lines += [f"{kind}={value} is no longer its own" for kind, value in lost] + [f"{kind}={value} is" for kind, value in given]
    undo = f"when the former board asks, it is a new node: bootpilot node replace {old.id} --with THAT-NODE"
    return Resolution(old.id, (*lines, *taken, *settle_conflicts(connection, now)), undo)


def settle_conflicts(connection: Connection, now: float, most: int = 1000) -> list[str]:
    """Records of contradictions that are none any more end in the node that their board is, or go. What was done, in words."""
    told = []
    query = select(nodes.c.id).where(nodes.c.conflict != "").order_by(nodes.c.last_seen_at.desc()).limit(most)
    for record_id in [*connection.execute(query).scalars()]:
        record = node_records.find_node(connection, record_id)
        shown = _shown(connection, record) if record else ()
        if record is None or known_by(shown) is Grade.NONE:
            continue
        found = _match(connection, shown, simulated=record.simulated)
        if isinstance(found, Conflict):
            continue
        node = node_records.find_node(connection, found.node_id) if isinstance(found, Match) else None
        if node is None:
            node_records.forget_node(connection, record.id)
            told.append(f"contradiction {record.id} goes: its board will be a new node")
        else:
            absorb(connection, record, node, "the contradiction is gone", now)
            told.append(f"contradiction {record.id} is gone: its board is node {node.id}")
    return told


def _refuse_pair(kept: NodeRecord, gone: NodeRecord) -> None:
    if kept.id == gone.id:
        raise OperatorError(f"both are node {kept.id}")
    if kept.conflict:
        raise OperatorError(f"{kept.id} stands for a contradiction and is no node", "name the node first, then the record")
    if kept.simulated != gone.simulated:
        raise OperatorError("one of the two is simulated, the other a board: they are never the same")


def _shown(connection: Connection, node: NodeRecord) -> tuple[Evidence, ...]:
    """What its last report showed; nothing for a node that never reported, or by a program whose reports cannot be read."""
    try:
        report = node.read_report() if node.has_reported else None
    except FieldError:
        return ()
    return evidence_records.without_shared(connection, report).evidence if report else ()


def _match(connection: Connection, shown: Iterable[Evidence], *, simulated: bool) -> object:
    pieces = list(shown)
    return match_node(pieces, evidence_records.find_candidates(connection, pieces, simulated=simulated))


def _make_it_land(connection: Connection, shown: Sequence[Evidence], node: NodeRecord, by: str, now: float) -> list[str]:
    """A person has said whose this evidence is: others that hold a piece of it, and would contest it, lose that."""
    if not shown:
        return []
    found, told = _match(connection, shown, simulated=node.simulated), []
    rivals = [other for other in found.node_ids if other != node.id] if isinstance(found, Conflict) else []
    for known in evidence_records.known_nodes(connection, rivals):
        held = {(piece.kind.value, piece.value) for piece in known.evidence | known.former}
        keys = [(piece.kind.value, piece.value) for piece in shown if (piece.kind.value, piece.value) in held]
        evidence_records.take_away(connection, known.node_id, keys, f"it is node {node.id}'s, says {by}", now)
        lost = ", ".join(f"{kind}={value}" for kind, value in keys)
        node_records.add_history(connection, known.node_id, f"{lost} is node {node.id}'s ({by})", now)
        told.append(f"node {known.node_id} loses {lost}, which this board shows")
    _refuse_miss(connection, shown, node)
    return told


def _refuse_miss(connection: Connection, shown: Sequence[Evidence], node: NodeRecord) -> None:
    """Raises OperatorError if the board's next report, with the same evidence, would not land on the node."""
    found = _match(connection, shown, simulated=node.simulated)
    if isinstance(found, Match) and found.node_id == node.id:
        return
    because = found.because if isinstance(found, Match | Conflict) else "nothing that it shows is known"
    raise OperatorError(
        f"the board's next report would not land on node {node.id}: {because}",
        "what several boards share is declared worthless: bootpilot node split NODE --evidence ... --shared KIND=VALUE",
    )


def _add_other(connection: Connection, node: NodeRecord, other_id: str, now: float, *, is_the_other: bool) -> None:
    """The record of the board that is split off. It takes the last report and its boot along if they are its own."""
    fresh = replace(NodeRecord(other_id, now, 0.0, node.simulated, "", None, "", "", "", "", None, 0))
    if is_the_other:
        own = {name: getattr(node, name) for name in ("last_seen_at", "address", "report", "model", "serial", "current_boot")}
        fresh = replace(fresh, **own)
    connection.execute(nodes.insert().values(vars(fresh)))
    if is_the_other and node.current_boot:
        move_boot(connection, node.current_boot, node.id, other_id)
        node_records.change_node(connection, node.id, current_boot=None)


def _approval_lines(kept: NodeRecord, gone: NodeRecord) -> list[str]:
    if kept.approved_at is None and gone.approved_at is not None:
        return [f"{kept.id} is approved by that, as {gone.id} was"]
    return []
