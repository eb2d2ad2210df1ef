"""Rollouts: which nodes have a new profile already, when the next wave begins, and when it must not. No I/O here.

A rollout has no clock and no list of nodes to work off. A node that its selector means and that asks while there is room in the
open wave is reached by it: that is its ticket, for good. What became of its boots settles the ticket, and the settled tickets
of a wave decide about the next one. So it makes no difference when the server runs, and boards that are off hold nobody up
but themselves.
"""

from dataclasses import replace
from enum import Enum

from bootpilot_server.deciding.boot_state import StateKind, ended_badly, state_of
from bootpilot_server.deciding.decision import Decision, WaitReason
from bootpilot_server.deciding.recipes import MAX_PRIORITY, Expects, Profile, Rule
from bootpilot_server.deciding.records import BootRecord
from bootpilot_server.deciding.rollout_facts import Line, Rollout, RolloutState, Standing, Tally, Ticket, Turn
from bootpilot_server.deciding.slots import no_slot

# What stands before every rule and before a node's own profile.
PRIORITY = MAX_PRIORITY + 1


class Fate(Enum):
    """What a boot that a rollout began says of the node."""

    UNDER_WAY = "under way"
    WELL = "well"
    FAILED = "failed"


def advance(rollout: Rollout, tally: Tally, now: float) -> Rollout:
    """The rollout as it stands now that its tickets amount to this. Nothing but running ones moves."""
    if rollout.state is not RolloutState.RUNNING:
        return rollout
    limit = rollout.stop_at.limit(rollout.opened)
    if tally.failed >= limit:
        why = f"{tally.failed} of {tally.reached} nodes failed, and it stops at {rollout.stop_at.to_text()}"
        return replace(rollout, state=RolloutState.STOPPED, why=why)
    is_full = rollout.size is not None and tally.taken >= rollout.size
    is_last = rollout.wave == len(rollout.waves) - 1
    if is_last or not is_full or tally.settled < tally.taken or now < tally.settled_at + rollout.soak_s:
        return rollout
    return replace(rollout, wave=rollout.wave + 1)


def standing_of(rollout: Rollout, tally: Tally, ticket: Ticket | None, line: Line | None) -> Standing | None:
    """Where a node stands that has this ticket, or that the selector means. None if the rollout is nothing to it."""
    if rollout.is_over:
        return None
    if ticket is not None:
        turn = Turn.BACK if rollout.state is RolloutState.BACK else Turn.REACHED
        return Standing(rollout, turn, ticket.former)
    if rollout.state is not RolloutState.RUNNING:
        return Standing(rollout, Turn.NOT_YET, text=f"it is {rollout.state} and reaches no further nodes")
    if rollout.size is not None and tally.taken >= rollout.size:
        which = f"wave {rollout.wave + 1} of {len(rollout.waves)} has its {rollout.size} nodes"
        return Standing(rollout, Turn.NOT_YET, text=f"its turn has not come: {which}, {tally.settled} of them settled")
    return Standing(rollout, Turn.OPEN, line=line)


def rule_of(standing: Standing, profile: Profile | None) -> Rule | None:
    """The rule that a rollout is for a node that it reaches: before all others, and one install for each node."""
    rollout = standing.rollout
    if standing.turn is Turn.NOT_YET or (standing.turn is Turn.BACK and not standing.former):
        return None
    is_back = standing.turn is Turn.BACK
    name = f"rollout {rollout.name}" + (" (back)" if is_back else "")
    key = rollout.name + ("-back" if is_back else "")
    gives = standing.former if is_back else rollout.profile
    return Rule(name, PRIORITY, gives, install=key if profile is not None and profile.writes_disk else "")


def profile_of(standing: Standing) -> str:
    return standing.former if standing.turn is Turn.BACK else standing.rollout.profile


def refuse_crowded(standing: Standing | None, rule: Rule) -> None:
    """A node whose turn has come waits while as many are under way as the rollout allows. Raises RefusedError."""
    if standing is None or rule.priority != PRIORITY or standing.line is None or standing.line.admits:
        return
    raise no_slot(standing.line, f" in rollout {standing.rollout.name}")


def as_rolled_out(decision: Decision, standing: Standing | None, rule: Rule | None) -> Decision:
    """The decision with the rollout that it comes from, or for whose slot the node waits."""
    if standing is None or rule is None or rule.priority != PRIORITY:
        return decision
    name = standing.rollout.name
    wait = decision.plan.wait
    if wait is not None and wait.reason == WaitReason.NO_SLOT:
        return replace(decision, queue=queue_of(name))
    return replace(decision, rollout=name)


def queue_of(name: str) -> str:
    return f"rollout:{name}"


def fate_of(boot: BootRecord, now: float, *, is_past: bool = False) -> tuple[Fate, str]:
    """What a boot that was given the rollout's profile says, and in words. `is_past`: its node has begun another one."""
    state = state_of(boot, now)
    if boot.done_at is not None:
        return Fate.WELL, state.text
    if state.is_failure or (is_past and ended_badly(boot, now)):
        return Fate.FAILED, state.text
    if boot.expects is Expects.PAYLOAD_UP and state.kind is StateKind.PAYLOAD_UP:
        return Fate.WELL, state.text
    if boot.expects is Expects.NONE and boot.handover_at is not None:
        return Fate.WELL, state.text
    return Fate.UNDER_WAY, state.text


def holds_up(rollout: Rollout, tally: Tally, now: float) -> str:
    """What a rollout waits for at this moment, as a sentence."""
    if rollout.state is not RolloutState.RUNNING:
        return "no further nodes are reached"
    unsettled = tally.taken - tally.settled
    if rollout.size is not None and tally.taken < rollout.size:
        return f"the open wave has room for {rollout.size - tally.taken} more nodes: whoever asks next"
    if unsettled:
        return f"{unsettled} nodes of the open wave are neither well nor failed yet"
    if rollout.size is None:
        return "the last wave is open to all that ask"
    left = tally.settled_at + rollout.soak_s - now
    if rollout.wave == len(rollout.waves) - 1:
        return "all waves are done; `bootpilot rollout finish` ends it"
    return f"the next wave opens in {left:.0f} s" if left > 0 else "the next wave opens with the next question"
