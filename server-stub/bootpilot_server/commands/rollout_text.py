"""How rollouts look, to people and to programs."""

from collections.abc import Sequence
from typing import Protocol

from bootpilot_agent.fields import Json
from bootpilot_server.commands.terminal import columns
from bootpilot_server.deciding.moments import moment
from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.deciding.rollout_facts import Rollout, Tally, Ticket
from bootpilot_server.deciding.rollouts import holds_up
from bootpilot_server.deciding.selection import to_words

MAX_SHOWN = 20
HEAD = ("NAME", "STATE", "PROFILE", "WAVE", "REACHED", "WELL", "FAILED", "UNDER WAY")


class Entry(Protocol):
    """A row of the history."""

    at: float
    by: str
    text: str


def rollout_json(rollout: Rollout, tally: Tally) -> dict[str, Json]:
    return {
        "name": rollout.name,
        "state": rollout.state,
        "why": rollout.why,
        "profile": rollout.profile,
        "where": [*to_words(rollout.conditions)],
        "waves": [size or "rest" for size in rollout.waves],
        "wave": rollout.wave + 1,
        "max_concurrent": rollout.max_concurrent,
        "stop_at": rollout.stop_at.to_text(),
        "soak_s": rollout.soak_s,
        "nodes": rollout.total,
        "reached": tally.reached,
        "well": tally.well,
        "failed": tally.failed,
        "under_way": tally.busy,
    }


def rollout_rows(rollouts: Sequence[Rollout], tallies: Sequence[Tally]) -> str:
    rows = []
    for rollout, tally in zip(rollouts, tallies, strict=True):
        wave = f"{rollout.wave + 1} of {len(rollout.waves)}"
        counts = (f"{tally.reached} of {rollout.total}", str(tally.well), str(tally.failed), str(tally.busy))
        rows.append([rollout.name, rollout.state, rollout.profile, wave, *counts])
    return columns(HEAD, rows)


def rollout_text(
    rollout: Rollout, tally: Tally, tickets: Sequence[Ticket], history: Sequence[Entry], creation: tuple[float, str], now: float
) -> str:
    """What a person wants to know when a page rings: how far, who failed and why, what holds it up."""
    waves = ", ".join(("> " if index == rollout.wave else "") + str(size or "rest") for index, size in enumerate(rollout.waves))
    lines = [
        f"rollout {rollout.name}: {rollout.state}" + (f" ({rollout.why})" if rollout.why else ""),
        f"profile: {rollout.profile}",
        *(f"where: {word}" for word in to_words(rollout.conditions)),
        f"waves: {waves}; stops at {rollout.stop_at.to_text()}; soak {rollout.soak_s} s; at once "
        + (str(rollout.max_concurrent) if rollout.max_concurrent else "as many as a wave holds"),
        f"begun: {moment(creation[0])} by {creation[1]}, with {rollout.total} nodes",
        f"reached {tally.reached}: {tally.well} well, {tally.failed} failed, {tally.busy} under way",
        f"now: {holds_up(rollout, tally, now)}",
    ]
    failed = [ticket for ticket in tickets if ticket.failed_at is not None]
    lines += ["failed:"] if failed else []
    lines += [f"  {ticket.node_id}  wave {ticket.wave + 1}  {ticket.why}" for ticket in failed[:MAX_SHOWN]]
    lines += [f"  and {len(failed) - MAX_SHOWN} more"] if len(failed) > MAX_SHOWN else []
    lines += ["history:", *(f"  {moment(entry.at)}  {entry.by or 'server'}: {entry.text}" for entry in history)]
    return "\n".join(one_line(line) for line in lines)
