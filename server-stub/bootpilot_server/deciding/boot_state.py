"""What a boot amounts to at a given moment: computed when somebody looks, from what was heard and the plan's deadlines.

So a deadline needs no timer to fire, and a server that was down over a deadline tells the same as one that was not.
No I/O here.
"""

import json
from dataclasses import dataclass
from enum import StrEnum

from bootpilot_agent.events import Event, EventName, Source
from bootpilot_agent.fields import Fields, Json
from bootpilot_server.deciding.moments import moment
from bootpilot_server.deciding.records import BootRecord
from bootpilot_server.deciding.rendering import one_line


class StateKind(StrEnum):
    """One word for a list."""

    WAITING = "waiting"
    SILENT = "silent"
    PLANNED = "planned"
    FETCHING = "fetching"
    LOADED = "loaded"
    HANDOVER = "handover"
    LOADER_UP = "loader-up"
    PAYLOAD_UP = "payload-up"
    INSTALLING = "installing"
    INSTALLED = "installed"
    FAILED = "failed"
    PAYLOAD_SILENT = "payload silent"
    INSTALL_OVERDUE = "install overdue"
    BOARD_SILENT = "board silent"


# A waiting board spreads its questions by chance and repeats those that are lost, so only several in a row tell something.
MISSED_QUESTIONS = 3
GRACE_S = 60
MAX_STAGE_CHARS = 60

FIRST_RANK_AFTER_AGENT = 1 << 32
FAILURES = frozenset({StateKind.FAILED, StateKind.PAYLOAD_SILENT, StateKind.INSTALL_OVERDUE, StateKind.BOARD_SILENT})


@dataclass(frozen=True)
class BootState:
    """The state, a sentence about it, and while something is fetched or written, how much is there."""

    kind: StateKind
    text: str
    done_bytes: int = 0
    total_bytes: int = 0

    @property
    def is_failure(self) -> bool:
        return self.kind in FAILURES

    @property
    def percent(self) -> int:
        return min(100, self.done_bytes * 100 // self.total_bytes) if self.total_bytes else 0


def state_of(boot: BootRecord, now: float) -> BootState:
    """`now` in Unix seconds by the server's clock, on which the deadlines run too."""
    if boot.done_at is not None:
        return BootState(StateKind.INSTALLED, f"install {boot.install_id} is done")
    if boot.failed_at is not None:
        return BootState(StateKind.FAILED, boot.failure)
    plan = Fields(boot.read_plan())
    if boot.alive_at is not None:
        return _overdue(boot, plan, now) or _after_jump(boot)
    if plan.has("wait"):
        return _waiting(boot, plan.child("wait"), now)
    silence_s = plan.number("payload_up_deadline_s")
    if boot.handover_at is not None:
        return _handed_over(boot, silence_s, now)
    if boot.must_report and now > boot.planned_at + plan.number("fetch_deadline_s") + silence_s:
        return BootState(StateKind.BOARD_SILENT, f"no sign of life since {boot.event or 'the plan'}, and its time is over")
    return _before_jump(boot, plan)


def ended_badly(boot: BootRecord, now: float) -> bool:
    """Whether a boot counts as failed now that its node has started another one."""
    state = state_of(boot, now)
    # Handed over and back again before the deadline: the payload died, or it would not ask the server anew.
    returned = state.kind is StateKind.HANDOVER and boot.must_report
    return state.is_failure or returned


def jump_came_back(boot: BootRecord) -> bool:
    """Whether the agent, after it had handed over, spoke again to say that it failed: the payload never ran."""
    return boot.handover_at is not None and boot.event == EventName.FAILED and boot.event_rank < FIRST_RANK_AFTER_AGENT


def rank_of(event: Event) -> int:
    """Orders the events of one boot: whatever a payload says comes after all that the agent said."""
    return (0 if event.source is Source.AGENT else FIRST_RANK_AFTER_AGENT) | event.seq


def describe_failure(data: dict[str, Json]) -> str:
    """The text of a `failed` event: stage, message and hint as far as they are there, in characters that can be stored."""
    stage, message, hint = (_storable(str(data.get(key) or "")[:1000]) for key in ("stage", "message", "hint"))
    text = ": ".join(part for part in (stage, message) if part) or "no reason given"
    return text + (f" (hint: {hint})" if hint else "")


def installing_text(data: dict[str, Json]) -> tuple[str, int, int]:
    """The stage that an `installing` event tells of, in words; and how many bytes of how many are written, 0 where not told."""
    stage = one_line(_storable(str(data.get("stage") or "")[:MAX_STAGE_CHARS]))
    done, total = (_count(data.get(key)) for key in ("bytes", "total_bytes"))
    if done and total > 0:
        return f"{stage} {min(100, done * 100 // total)} %", done, total
    return (f"{stage} {done / 1e6:.0f} MB" if done else stage), done, 0


def _count(value: Json) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _storable(text: str) -> str:
    """JSON can spell half a character (a lone surrogate). News of a failure counts more than its spelling."""
    return text.encode("utf-8", "replace").decode()


def _waiting(boot: BootRecord, wait: Fields, now: float) -> BootState:
    """A board that was told to wait and does not ask again was switched off or cut off. No boot has failed by that."""
    text = f"{wait.text('reason')}: {wait.text('text')}"
    retry_s = wait.number("retry_after_s")
    if now <= boot.planned_at + MISSED_QUESTIONS * retry_s + GRACE_S:
        return BootState(StateKind.WAITING, text)
    since = moment(boot.planned_at)
    return BootState(StateKind.SILENT, f"has not asked since {since}, and was to ask again after {retry_s} s ({text})")


def _overdue(boot: BootRecord, plan: Fields, now: float) -> BootState | None:
    """An installer that spoke, and did not say in time that it is done."""
    most_s = plan.number_or_none("done_deadline_s")
    jumped_at = boot.alive_at if boot.handover_at is None else boot.handover_at
    if most_s is None or jumped_at is None or now <= jumped_at + most_s:
        return None
    said = json.loads(boot.event_data) if boot.event == EventName.INSTALLING else {}
    last = f"; the last that was heard: {stage}" if (stage := installing_text(said)[0]) else ""
    return BootState(StateKind.INSTALL_OVERDUE, f"{boot.profile} did not say within {most_s} s that the install is done{last}")


def _after_jump(boot: BootRecord) -> BootState:
    if boot.loader:
        return BootState(StateKind.LOADER_UP, f"{boot.profile} (build {boot.loader}) took over and began a boot of its own")
    if boot.event == EventName.INSTALLED:
        return BootState(StateKind.INSTALLED, "the installer says it is done")
    if boot.event == EventName.INSTALLING:
        stage, done, total = installing_text(json.loads(boot.event_data))
        return BootState(StateKind.INSTALLING, f"installing with {boot.profile}: {stage}".removesuffix(": "), done, total)
    if boot.booted_at is not None:
        text = f"booted its disk by itself at {moment(boot.booted_at)} (no server had answered it)"
        return BootState(StateKind.PAYLOAD_UP, text)
    return BootState(StateKind.PAYLOAD_UP, f"{boot.profile} is up")


def _handed_over(boot: BootRecord, silence_s: int, now: float) -> BootState:
    if not boot.must_report or boot.handover_at is None:
        whom = boot.profile or "what is on its disk"
        return BootState(StateKind.HANDOVER, f"handed over to {whom}, which need not report")
    if now > boot.handover_at + silence_s:
        return BootState(
            StateKind.PAYLOAD_SILENT, f"{boot.profile} was started and has said nothing for more than {silence_s} s"
        )
    return BootState(StateKind.HANDOVER, f"waiting for {boot.profile} to report")


def _before_jump(boot: BootRecord, plan: Fields) -> BootState:
    if not plan.has("boot"):
        what = "start what is on its disk" if plan.has("local") else plan.text("action")
        return BootState(StateKind.PLANNED, f"was told to {what}")
    total = _payload_bytes(plan)
    if boot.event == EventName.FETCHING:
        return BootState(
            StateKind.FETCHING, f"fetching {boot.profile}", _count(json.loads(boot.event_data).get("bytes")), total
        )
    if boot.event in (EventName.FETCHED, EventName.LOADED):
        return BootState(StateKind.LOADED, f"{boot.profile} is in memory", total, total)
    return BootState(StateKind.PLANNED, f"was told to boot {boot.profile}", 0, total)


def _payload_bytes(plan: Fields) -> int:
    boot = plan.child("boot")
    dtb = boot.child("dtb")
    pieces = [boot.child("kernel"), *boot.children("initrds"), *boot.children("files")]
    pieces += [dtb.child("artifact")] if dtb.has("artifact") else []
    pieces += dtb.children("overlays") if dtb.has("overlays") else []
    return sum(piece.number("size") for piece in pieces)
