"""What a node boots, and why. No I/O here: neither Flask nor the file system, no clock but the one handed in.

Rules are tried by priority, highest first; the first that matches wins, but for one whose profile this board cannot do: then
the next one counts. Before all rules stand a person's orders and what the disk's mark says (installs.py), then a rollout that
has reached the node. Where the outcome
would be a guess (two rules of one priority with different plans, a template that does not render, a kernel for another
machine) the answer is a wait. A newer loader, if there is one for the board, comes first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bootpilot_agent.plan import MAX_LOADERS
from bootpilot_server.deciding.approval import RULE, admission_objection, is_counted
from bootpilot_server.deciding.decision import Catalogue, Decision, InstallChanges, NodeFacts, RefusedError, WaitReason
from bootpilot_server.deciding.drafts import draft_wait
from bootpilot_server.deciding.facts import facts_of
from bootpilot_server.deciding.installs import Disk, look_at_disk, step_before_rules, step_without_rules
from bootpilot_server.deciding.loader_choice import with_newer_loader
from bootpilot_server.deciding.marks import foreign_mark
from bootpilot_server.deciding.recipes import MAX_PRIORITY, OWN_PROFILE, Revision, Rule
from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.deciding.rollouts import as_rolled_out, profile_of, refuse_crowded, rule_of
from bootpilot_server.deciding.selection import why_not
from bootpilot_server.deciding.slots import with_slot
from bootpilot_server.deciding.step_plans import Outcome, plan_order, plan_own_boot, plan_rule, plan_step


def decide(node: NodeFacts, revision: Revision, artifacts: Catalogue, now: float) -> Decision:
    """`now` is recorded as the moment of the decision, in Unix seconds."""
    if node.report.booted:
        return _write_down(node, revision, now)
    payload = with_slot(node, _decide_payload(node, revision, artifacts, now), revision)
    return with_newer_loader(node, revision.loaders, artifacts, payload)


def winning_rule(node: NodeFacts, revision: Revision) -> Rule | None:
    """The rule that stands first for this node, whatever comes of it."""
    return next(iter(_own_profile(node) + _matching(node, revision.rules, [])), None)


def _write_down(node: NodeFacts, revision: Revision, now: float) -> Decision:
    """Of a report that asks for nothing, for the board has started its disk: its mark counts, and nothing is used up."""
    try:
        _refuse_unclear(node)
    except RefusedError as refusal:
        return Decision(draft_wait(node, refusal), (refusal.text,), decided_at_s=now)
    seen, disk = look_at_disk(node, winning_rule(node, revision), revision.profiles)
    told = plan_own_boot(seen)
    changes = InstallChanges(disk.found, disk.adopts)
    return Decision(told.plan, (told.reason,), profile=told.profile, decided_at_s=now, changes=changes)


@dataclass(frozen=True)
class _Choice:
    """The rule that decides and what comes of it, or why the board waits all the same. `lacks` as in Decision.

    `admits`: the rule approves the board, and that is to be counted.
    """

    rule: Rule | None = None
    outcome: Outcome | None = None
    refusal: RefusedError | None = None
    lacks: str = ""
    admits: bool = False


def _decide_payload(node: NodeFacts, revision: Revision, artifacts: Catalogue, now: float) -> Decision:
    why: list[str] = []
    seen, disk = node, Disk()
    try:
        _refuse_unclear(node)
        matching = _rolled_out(node, revision, why) + _own_profile(node) + _matching(node, revision.rules, why)
        seen, disk = look_at_disk(node, matching[0] if matching else None, revision.profiles)
        choice = _before_rules(seen, matching, revision, artifacts) or _choose(seen, matching, revision, artifacts, now, why)
    except RefusedError as refusal:
        choice = _Choice(refusal=refusal)
    rule = choice.rule.name if choice.rule else ""
    if choice.outcome is None:
        nothing = choice.refusal or _nothing_matches(node, revision)
        changes = InstallChanges(disk.found, disk.adopts)
        wait = draft_wait(node, nothing)
        told = Decision(wait, (nothing.text, *why), rule, decided_at_s=now, lacks=choice.lacks, changes=changes)
        return as_rolled_out(told, node.rollout, choice.rule)
    given = choice.outcome
    told = Decision(
        plan=given.plan,
        why=(given.reason, *why),
        rule=rule,
        profile=given.profile,
        expects=given.expects,
        files=given.files,
        decided_at_s=now,
        lacks=choice.lacks,
        admits=choice.admits,
        changes=replace(given.changes, found=disk.found, adopts=disk.adopts),
    )
    return as_rolled_out(told, node.rollout, choice.rule)


def _before_rules(node: NodeFacts, matching: Sequence[Rule], revision: Revision, artifacts: Catalogue) -> _Choice | None:
    """What stands before every rule: orders, holds, adoption. None if rules decide. Raises RefusedError."""
    if order := plan_order(node):
        return _Choice(outcome=order)
    _refuse_held(node)
    step = step_before_rules(node, matching[0] if matching else None, revision.profiles)
    if step is None:
        return None
    try:
        return _Choice(outcome=plan_step(node, step, revision, artifacts))
    except RefusedError as refusal:
        return _Choice(refusal=refusal, lacks=_lacks(refusal))


def _choose(
    node: NodeFacts, matching: Sequence[Rule], revision: Revision, artifacts: Catalogue, now: float, why: list[str]
) -> _Choice:
    """The first rule that the board can follow, or the first one's refusal; what becomes of the others goes into `why`."""
    first: _Choice | None = None
    left = list(matching)
    while left:
        rule = left[0]
        try:
            _refuse_winner(node, rule, left, now)
            refuse_crowded(node.rollout, rule)
            admits = not node.approved and is_counted(rule)
            allowed = replace(node, approved=True, approval=RULE + rule.name) if admits else node
            outcome = plan_rule(allowed, rule, revision, artifacts)
        except RefusedError as refusal:
            first = first or _Choice(rule, None, refusal, _lacks(refusal))
            if not _lacks(refusal) or all(other.profile == rule.profile for other in left):
                why += _behind(left)
                return first
            why.append(f"{rule.told} passed over: {refusal.text}")
            left = [other for other in left if other.profile != rule.profile]
        else:
            why += _behind(left)
            return _Choice(rule, outcome, None, first.lacks if first else "", admits)
    step = step_without_rules(node, revision.profiles)
    return _Choice(outcome=plan_step(node, step, revision, artifacts)) if step else _Choice()


def _lacks(refusal: RefusedError) -> str:
    return refusal.text if refusal.reason is WaitReason.CAPABILITY else ""


def _rolled_out(node: NodeFacts, revision: Revision, why: list[str]) -> list[Rule]:
    """A rollout that has reached this node stands before everything that is written; why it has not, goes into `why`."""
    if node.rollout is None:
        return []
    rule = rule_of(node.rollout, revision.profiles.get(profile_of(node.rollout)))
    if rule is None:
        why.append(f"rollout {node.rollout.rollout.name} lost: {node.rollout.text or 'it is taken back'}")
    return [rule] if rule else []


def _own_profile(node: NodeFacts) -> list[Rule]:
    """What an operator gave this node by name stands before every rule. One that writes a disk is installed once."""
    return [Rule(OWN_PROFILE, MAX_PRIORITY, node.profile_override)] if node.profile_override else []


def _refuse_unclear(node: NodeFacts) -> None:
    """Before any rule: it is not certain which node this is, or it goes round in circles."""
    if node.conflict:
        raise RefusedError(WaitReason.CONFLICT, node.conflict)
    if mark := foreign_mark(node):
        raise RefusedError(
            WaitReason.CONFLICT,
            f"a disk of this board carries the mark of another one: node {mark.node_id}, {mark.evidence_kind}"
            f" {one_line(mark.evidence_value)}; put the disk back, wipe its mark, or `bootpilot node replace`",
        )
    if len(node.loader_builds) > MAX_LOADERS:
        raise RefusedError(
            WaitReason.NO_USABLE_PLAN,
            f"{len(node.loader_builds)} loaders ran in a row on this board ({' -> '.join(node.loader_builds)}): a profile"
            " seems to boot a loader; a newer loader is named in loaders/, and power off and on ends this",
        )


def _refuse_held(node: NodeFacts) -> None:
    if node.retired:
        raise RefusedError(WaitReason.ON_HOLD, f"this board is retired (`bootpilot node release {node.node_id}` takes it back)")
    if node.hold:
        raise RefusedError(WaitReason.ON_HOLD, f"on hold: {node.hold} (`bootpilot node release {node.node_id}` ends this)")


def _matching(node: NodeFacts, rules: Sequence[Rule], why: list[str]) -> list[Rule]:
    facts = facts_of(node.node_id, node.report, name=node.name, labels=node.labels)
    matching = []
    for rule in sorted(rules, key=lambda rule: (-rule.priority, rule.name)):
        if objection := why_not(rule.conditions, facts):
            why.append(f"{rule.told} lost: {objection}")
        else:
            matching.append(rule)
    return matching


def _behind(left: Sequence[Rule]) -> list[str]:
    return [f"{rule.told} lost: {left[0].name} stands before it" for rule in left[1:]]


def _nothing_matches(node: NodeFacts, revision: Revision) -> RefusedError:
    nothing = (
        "no rule matches this board" if revision.rules else "no rules are in force; `bootpilot apply` puts a folder in force"
    )
    if node.approved:
        return RefusedError(WaitReason.NO_USABLE_PLAN, nothing)
    return RefusedError(WaitReason.NOT_APPROVED, f"this board is not approved, and {nothing}")


def _refuse_winner(node: NodeFacts, winner: Rule, matching: Iterable[Rule], now: float) -> None:
    equal = [rule for rule in matching if rule.priority == winner.priority]
    objections = {rule.name: "" if node.approved else admission_objection(rule, node, now) for rule in equal}
    outcomes = {(rule.profile, rule.install, not objections[rule.name]) for rule in equal}
    if len(outcomes) > 1:
        names = ", ".join(rule.name for rule in equal)
        raise RefusedError(
            WaitReason.RULE_TIE, f"rules {names} have priority {winner.priority}, all match, and would give different plans"
        )
    if objection := objections[winner.name]:
        raise RefusedError(WaitReason.NOT_APPROVED, f"this board is not approved, and {objection}")
