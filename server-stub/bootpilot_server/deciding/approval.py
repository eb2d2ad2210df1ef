"""How a node came to be approved, and whether that is enough for a plan that writes a disk. No I/O here.

Approval by a person who named the board covers what the board showed then. Approval by a rule, a batch or a selector covers
whoever fits, so it lets nobody write who is known by no more than a network adapter or a card.
"""

from bootpilot_agent.evidence import Grade
from bootpilot_server.deciding.decision import NodeFacts
from bootpilot_server.deciding.recipes import Rule

BY_NAME = "name"
BY_LIST = "import"
BY_SELECTOR = "selector"
RULE = "rule:"
BATCH = "batch:"
# A person meant this very board. "": approved before the way of it was kept, when there was no other way.
NAMED = frozenset({BY_NAME, BY_LIST, ""})


def writing_objection(node: NodeFacts) -> str:
    """Why this node may not be given a plan that writes a disk, as the end of a sentence; "" if it may."""
    known = f"known only by {node.known_by.name.lower()} evidence"
    if not node.approved:
        return "this board is not approved by name" + ("" if node.known_by is Grade.STRONG else f", and {known}")
    again = f"`bootpilot approve {node.node_id}` lets it"
    if node.known_by < node.approved_grade:
        was = node.approved_grade.name.lower()
        return f"this board is {known} today, and was approved by {was} evidence; {again} if it is the same board"
    if node.known_by is not Grade.STRONG and node.approval not in NAMED:
        return f"this board is {known}, and was not approved by name; {again}"
    return ""


def admission_objection(rule: Rule, node: NodeFacts, now: float) -> str:
    """Why this rule lets in no further board that nobody has approved, as a sentence; "" if it does."""
    if not rule.admit:
        return f"rule {rule.name} does not admit unknown boards (`bootpilot approve` does)"
    if rule.until is not None and now >= rule.until:
        return f"rule {rule.name} admitted boards until its end date, which is over (`bootpilot approve` does)"
    admitted = node.admitted.get(rule.name, 0)
    if rule.max_count and admitted >= rule.max_count:
        return f"rule {rule.name} has admitted {admitted} boards, as many as its max_count (`bootpilot approve` does)"
    return ""


def is_counted(rule: Rule) -> bool:
    """Whether letting a board in by this rule approves it for good: what has a limit is counted, and outlives the rule."""
    return rule.admit and (rule.max_count > 0 or rule.until is not None)
