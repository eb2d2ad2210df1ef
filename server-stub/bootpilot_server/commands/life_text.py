"""A node's installs, the rollouts that reached it and its standing orders: how they look, to people and to programs."""

from collections.abc import Iterable, Mapping, Sequence

from bootpilot_agent.fields import Json
from bootpilot_server.deciding.boot_state import state_of
from bootpilot_server.deciding.install_facts import InstallFacts
from bootpilot_server.deciding.moments import moment
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.deciding.rollout_facts import Ticket
from bootpilot_server.store.install_runs import InstallRun


def install_json(install: InstallFacts) -> dict[str, Json]:
    return {
        "install_id": install.id,
        "origin": install.origin,
        "profile": install.profile,
        "state": install.state.value,
        "attempts": install.attempts,
        "takes": install.takes,
        "local_failures": install.local_failures,
        "last_failure": install.last_failure,
        "wanted_at": install.wanted_at,
        "done_at": install.done_at,
        "by": install.by,
    }


def ticket_json(ticket: Ticket) -> dict[str, Json]:
    return {
        "rollout": ticket.rollout,
        "wave": ticket.wave + 1,
        "state": ticket.state,
        "why": ticket.why,
        "former": ticket.former,
    }


def life_json(node: NodeRecord) -> dict[str, Json]:
    """What people ordered, and how the node came to its disk."""
    return {"standing": node.standing, "retired": node.retired_at is not None, "adopted": node.adopted_at is not None}


def run_json(run: InstallRun, now: float) -> dict[str, Json]:
    """One boot that was to install."""
    state = state_of(run.boot, now)
    return {
        "boot_id": run.boot.id,
        "started_at": run.boot.started_at,
        "state": state.kind.value,
        "text": state.text,
        "stages": [*run.stages],
        "written_bytes": run.written_bytes,
        "took_s": run.took_s,
        "log": run.has_log,
    }


def life_lines(
    node: NodeRecord,
    installs: Mapping[str, InstallFacts],
    tickets: Iterable[Ticket],
    runs: Mapping[str, Sequence[InstallRun]],
    now: float,
) -> list[str]:
    """For `node show`: standing orders, then every install, the newest first, then rollouts. Nothing of what there is not."""
    lines = [f"order: {node.standing}"] if node.standing else []
    lines += [f"retired: {moment(node.retired_at)}"] if node.retired_at is not None else []
    lines += [f"adopted: {moment(node.adopted_at)}, from the mark on its disk"] if node.adopted_at is not None else []
    newest = sorted(installs.values(), key=lambda facts: (facts.id != node.wanted_install, -facts.wanted_at))
    lines += ["installs:"] if newest else []
    for facts in newest:
        lines += _install_lines(facts, is_current=facts.id == node.wanted_install)
        lines += [line for run in runs.get(facts.id, ()) for line in _run_lines(run, now)]
    told = [f"  {one.rollout}  wave {one.wave + 1}  {one.state}" + (f": {one.why}" if one.why else "") for one in tickets]
    return [one_line(line) for line in lines + (["rollouts:"] if told else []) + told]


def _run_lines(run: InstallRun, now: float) -> list[str]:
    state = state_of(run.boot, now)
    took = f", took {run.took_s:.0f} s" if run.took_s is not None else ""
    lines = [f"      boot {run.boot.id}  {moment(run.boot.started_at)}  {state.kind}{took}"]
    lines += [f"        {', '.join(run.stages)}"] if run.stages else []
    lines += [f"        bootpilot log {run.boot.id} --source installer"] if run.has_log else []
    return lines


def _install_lines(facts: InstallFacts, *, is_current: bool) -> list[str]:
    since = f"wanted {moment(facts.wanted_at)}" + (f" by {facts.by}" if facts.by else "")
    done = f", done {moment(facts.done_at)}" if facts.done_at is not None else ""
    profile = facts.profile or "(unknown profile)"
    lines = [f"{'* ' if is_current else '  '}{facts.id}  {facts.state}  {profile}  ({facts.origin})  {since}{done}"]
    lines += [f"      {facts.told_tries}"] if facts.told_tries else []
    lines += [f"      last failure: {facts.last_failure}"] if facts.last_failure else []
    return lines
