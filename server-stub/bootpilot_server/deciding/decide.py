"""What a node boots, and why. No I/O here: neither Flask nor the file system, no clock but the one handed in.

Rules are tried by priority, highest first; the first that matches wins, but for one whose profile this board cannot do: then
the next one counts. Where the outcome would be a guess (two rules of one priority with different plans, a template that does
not render, a kernel for another machine) the answer is a wait. A newer loader, if there is one for the board, comes first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bootpilot_agent.plan import MAX_LOADERS
from bootpilot_server.deciding.decision import Catalogue, Decision, NodeFacts, RefusedError, WaitReason
from bootpilot_server.deciding.drafts import draft_boot, draft_wait
from bootpilot_server.deciding.facts import facts_of
from bootpilot_server.deciding.fitting import fit_profile
from bootpilot_server.deciding.loader_choice import with_newer_loader
from bootpilot_server.deciding.recipes import Revision, Rule
from bootpilot_server.deciding.rendering import RenderedFile
from bootpilot_server.deciding.selection import why_not


def decide(node: NodeFacts, revision: Revision, artifacts: Catalogue, now: float) -> Decision:
    """`now` is recorded as the moment of the decision, in Unix seconds."""
    return with_newer_loader(node, revision.loaders, artifacts, _decide_payload(node, revision, artifacts, now))


@dataclass(frozen=True)
class _Choice:
    """The rule that decides: its profile's files, or why the board waits all the same. `lacks` as in Decision."""

    rule: Rule | None = None
    files: tuple[RenderedFile, ...] = ()
    refusal: RefusedError | None = None
    lacks: str = ""


def _decide_payload(node: NodeFacts, revision: Revision, artifacts: Catalogue, now: float) -> Decision:
    why: list[str] = []
    choice = _choose(node, revision, artifacts, why)
    rule = choice.rule
    if choice.refusal is not None or rule is None:
        refusal = choice.refusal or _nothing_matches(node, revision)
        wait = draft_wait(node, refusal)
        return Decision(wait, (refusal.text, *why), rule.name if rule else "", decided_at_s=now, lacks=choice.lacks)
    profile = revision.profiles[rule.profile]
    plan = draft_boot(node, profile, choice.files, artifacts)
    first = f"profile {profile.name} by rule {rule.name} (priority {rule.priority})"
    return Decision(plan, (first, *why), rule.name, profile.name, profile.expects, choice.files, now, choice.lacks)


def _choose(node: NodeFacts, revision: Revision, artifacts: Catalogue, why: list[str]) -> _Choice:
    """The first rule that the board can follow, or the first one's refusal; what becomes of the others goes into `why`."""
    first: _Choice | None = None
    try:
        _refuse_unclear(node)
    except RefusedError as refusal:
        return _Choice(refusal=refusal)
    left = _matching(node, revision.rules, why)
    while left:
        rule = left[0]
        try:
            _refuse_winner(node, rule, left)
            files = fit_profile(node, revision.profiles[rule.profile], artifacts)
        except RefusedError as refusal:
            is_able = refusal.reason is not WaitReason.CAPABILITY
            first = first or _Choice(rule, (), refusal, "" if is_able else refusal.text)
            if is_able or all(other.profile == rule.profile for other in left):
                why += _behind(left)
                return first
            why.append(f"rule {rule.name} (priority {rule.priority}) passed over: {refusal.text}")
            left = [other for other in left if other.profile != rule.profile]
        else:
            why += _behind(left)
            return _Choice(rule, files, None, first.lacks if first else "")
    return _Choice()


def _refuse_unclear(node: NodeFacts) -> None:
    """Before any rule: it is not certain which node this is, or it goes round in circles."""
    if node.conflict:
        raise RefusedError(WaitReason.CONFLICT, node.conflict)
    if len(node.loader_builds) > MAX_LOADERS:
        raise RefusedError(
            WaitReason.NO_USABLE_PLAN,
            f"{len(node.loader_builds)} loaders ran in a row on this board ({' -> '.join(node.loader_builds)}): a profile"
            " seems to boot a loader; a newer loader is named in loaders/, and power off and on ends this",
        )


def _matching(node: NodeFacts, rules: Sequence[Rule], why: list[str]) -> list[Rule]:
    facts = facts_of(node.node_id, node.report, name=node.name, labels=node.labels)
    matching = []
    for rule in sorted(rules, key=lambda rule: (-rule.priority, rule.name)):
        if objection := why_not(rule.conditions, facts):
            why.append(f"rule {rule.name} (priority {rule.priority}) lost: {objection}")
        else:
            matching.append(rule)
    return matching


def _behind(left: Sequence[Rule]) -> list[str]:
    return [f"rule {rule.name} (priority {rule.priority}) lost: {left[0].name} stands before it" for rule in left[1:]]


def _nothing_matches(node: NodeFacts, revision: Revision) -> RefusedError:
    nothing = (
        "no rule matches this board" if revision.rules else "no rules are in force; `bootpilot apply` puts a folder in force"
    )
    if node.approved:
        return RefusedError(WaitReason.NO_USABLE_PLAN, nothing)
    return RefusedError(WaitReason.NOT_APPROVED, f"this board is not approved, and {nothing}")


def _refuse_winner(node: NodeFacts, winner: Rule, matching: Iterable[Rule]) -> None:
    equal = [rule for rule in matching if rule.priority == winner.priority]
    outcomes = {(rule.profile, node.approved or rule.admit) for rule in equal}
    if len(outcomes) > 1:
        names = ", ".join(rule.name for rule in equal)
        raise RefusedError(
            WaitReason.RULE_TIE, f"rules {names} have priority {winner.priority}, all match, and would give different plans"
        )
    if not (node.approved or winner.admit):
        raise RefusedError(
            WaitReason.NOT_APPROVED,
            f"this board is not approved, and rule {winner.name} does not admit unknown boards (`bootpilot node approve` does)",
        )
