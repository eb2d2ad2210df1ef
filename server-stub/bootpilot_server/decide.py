"""What a node boots, and why. No I/O here: neither Flask nor the file system, no clock but the one handed in.

Rules are tried by priority, highest first; the first that matches wins. Where the outcome would be a guess (two rules of one
priority with different plans, a template that does not render, a kernel for another machine) the answer is a wait.
"""

from collections.abc import Iterable, Mapping, Sequence

from bootpilot_server.decision import Catalogue, Decision, NodeFacts, RefusedError, WaitReason
from bootpilot_server.drafts import draft_boot, draft_wait
from bootpilot_server.fitting import fit_profile
from bootpilot_server.recipes import Profile, Rule
from bootpilot_server.selection import facts_of, why_not


def decide(
    node: NodeFacts, rules: Sequence[Rule], profiles: Mapping[str, Profile], artifacts: Catalogue, now: float
) -> Decision:
    """`now` is recorded as the moment of the decision, in Unix seconds."""
    why: list[str] = []
    rule: Rule | None = None
    try:
        if node.conflict:
            raise RefusedError(WaitReason.CONFLICT, node.conflict)
        rule = _choose(node, rules, why)
        profile = profiles[rule.profile]
        files = fit_profile(node, profile, artifacts)
    except RefusedError as refusal:
        wait = draft_wait(node, refusal)
        return Decision(wait, (refusal.text, *why), rule=rule.name if rule else "", decided_at_s=now)
    plan = draft_boot(node, profile, files, artifacts)
    first = f"profile {profile.name} by rule {rule.name} (priority {rule.priority})"
    return Decision(plan, (first, *why), rule.name, profile.name, profile.expects, files, now)


def _choose(node: NodeFacts, rules: Sequence[Rule], why: list[str]) -> Rule:
    """The rule that wins; what becomes of the others goes into `why`."""
    facts, memory_bytes = facts_of(node.node_id, node.report), node.report.inventory.memory_bytes
    matching = []
    for rule in sorted(rules, key=lambda rule: (-rule.priority, rule.name)):
        if objection := why_not(rule, facts, memory_bytes):
            why.append(f"rule {rule.name} (priority {rule.priority}) lost: {objection}")
        else:
            matching.append(rule)
    if not matching:
        reason = WaitReason.NO_USABLE_PLAN if node.approved else WaitReason.NOT_APPROVED
        nothing = "no rule matches this board" if rules else "no rules are in force; `bootpilot apply` puts a folder in force"
        raise RefusedError(reason, nothing if node.approved else f"this board is not approved, and {nothing}")
    winner = matching[0]
    why += [f"rule {rule.name} (priority {rule.priority}) lost: {winner.name} stands before it" for rule in matching[1:]]
    _refuse_tie(node, winner, matching)
    if not (node.approved or winner.admit):
        raise RefusedError(
            WaitReason.NOT_APPROVED,
            f"this board is not approved, and rule {winner.name} does not admit unknown boards (`bootpilot node approve` does)",
        )
    return winner


def _refuse_tie(node: NodeFacts, winner: Rule, matching: Iterable[Rule]) -> None:
    equal = [rule for rule in matching if rule.priority == winner.priority]
    outcomes = {(rule.profile, node.approved or rule.admit) for rule in equal}
    if len(outcomes) > 1:
        names = ", ".join(rule.name for rule in equal)
        raise RefusedError(
            WaitReason.RULE_TIE, f"rules {names} have priority {winner.priority}, all match, and would give different plans"
        )
