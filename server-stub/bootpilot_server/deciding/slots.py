"""Slots: how many installs and large downloads are under way at once, and who waits for which place in the queue. No I/O here.

A slot is a boot whose last plan is an install, or a payload larger than its profile's `large_mib`. It is never handed back by
anybody who could forget to: it ends by what was heard of the boot, by a deadline of its plan, or by the node's next boot.
"""

from dataclasses import replace

from bootpilot_agent.fields import Fields
from bootpilot_agent.plan import Plan
from bootpilot_server.deciding.decision import Decision, NodeFacts, RefusedError, WaitReason
from bootpilot_server.deciding.drafts import RETRY_AFTER_S, draft_wait
from bootpilot_server.deciding.facts import MIB
from bootpilot_server.deciding.recipes import Profile, Revision
from bootpilot_server.deciding.records import BootRecord
from bootpilot_server.deciding.rollout_facts import Line

# Nobody who stands far behind needs to ask often; who comes next asks within half a minute of a slot's being free.
MAX_RETRY_S = 300
# The one queue that is not a rollout's.
SERVER_QUEUE = "server"


def needs_slot(plan: Plan, profile: Profile | None) -> bool:
    if plan.boot is None or plan.boot.loader or profile is None:
        return False
    return plan.writes_disk or payload_bytes(plan) > profile.large_mib * MIB


def payload_bytes(plan: Plan) -> int:
    if plan.boot is None:
        return 0
    trees = [*([plan.boot.dtb] if plan.boot.dtb else []), *plan.boot.dtb_overlays]
    return sum(artifact.size_bytes for artifact in (plan.boot.kernel, *plan.boot.initrds, *trees))


def with_slot(node: NodeFacts, decision: Decision, revision: Revision) -> Decision:
    """The decision, or that the board waits for a slot and nothing of what the plan would have begun is begun. Where there is
    no bound nobody needs one.
    """
    if node.line is None or not needs_slot(decision.plan, revision.profiles.get(decision.profile)):
        return decision
    if node.line.admits:
        return replace(decision, takes_slot=True, why=(*decision.why, f"it has one of {node.line.limit} slots"))
    refusal = no_slot(node.line)
    return Decision(
        plan=draft_wait(node, refusal),
        why=(refusal.text, *decision.why),
        rule=decision.rule,
        decided_at_s=decision.decided_at_s,
        lacks=decision.lacks,
        changes=replace(decision.changes, begins=None, covers=None),
        queue=SERVER_QUEUE,
    )


def no_slot(line: Line, whose: str = "") -> RefusedError:
    """The wait that a full line means, with the board's place in it."""
    text = f"slot not yet free{whose}: {line.used} of {line.limit} in use, this board is number {line.ahead + 1} in the queue"
    retry_s = RETRY_AFTER_S[WaitReason.NO_SLOT] * (1 + line.ahead // max(1, line.limit))
    return RefusedError(WaitReason.NO_SLOT, text, retry_after_s=min(MAX_RETRY_S, retry_s))


def held_until(boot: BootRecord) -> float | None:
    """Until when this boot holds its slot, if nothing more is heard of it; None if it has ended. For boots that took one."""
    if boot.done_at is not None or boot.failed_at is not None:
        return None
    plan = Fields(boot.read_plan())
    if plan.has("wait"):
        return None
    done_s = plan.number_or_none("done_deadline_s")
    if done_s is None:
        # A download is over when the jump is made.
        over = boot.handover_at is not None or boot.alive_at is not None
        return None if over else boot.planned_at + plan.number("fetch_deadline_s")
    if boot.handover_at is None and boot.alive_at is None:
        return boot.planned_at + plan.number("fetch_deadline_s") + plan.number("payload_up_deadline_s")
    if boot.alive_at is None:
        return (boot.handover_at or 0) + plan.number("payload_up_deadline_s")
    return (boot.handover_at or boot.alive_at) + done_s
