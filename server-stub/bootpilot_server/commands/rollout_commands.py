"""`bootpilot rollout ...`: a new profile for many boards, wave by wave; what is asked, refused, done and written down."""

import argparse
import re
import time
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Connection

from bootpilot_agent.fields import Json
from bootpilot_server.asking.turns import check_rollout, look_through
from bootpilot_server.commands.rollout_text import rollout_json, rollout_rows, rollout_text
from bootpilot_server.commands.selecting import WordsError, author_of, is_meant, read_where
from bootpilot_server.commands.terminal import Terminal
from bootpilot_server.deciding.recipes import Condition
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.deciding.rollout_facts import REST, Rollout, RolloutState, StopAt
from bootpilot_server.deciding.selection import why_not
from bootpilot_server.errors import OperatorError
from bootpilot_server.server import Server, opened_server, read_config
from bootpilot_server.store import rollout_records
from bootpilot_server.store.node_selection import record_facts, select_nodes

# As a rule's `install` key, which a rollout's name is too.
NAME_PATTERN = r"[a-z0-9][a-z0-9_-]{0,57}"
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
MAX_SOAK_S = 30 * 86400
MAX_WAVES = 50


def create(arguments: argparse.Namespace, terminal: Terminal) -> int:
    rollout = _wanted(arguments)
    author = author_of(arguments)
    with opened_server(read_config(arguments.home), create=False) as server:
        with server.database.reading() as connection:
            _refuse_profile(server, connection, rollout)
            meant = select_nodes(connection, rollout.conditions)
            _refuse_meeting(connection, rollout, meant)
        reached = [node for node in meant if node.approved_at is not None and node.retired_at is None]
        left = f" ({len(meant) - len(reached)} others are not approved, or retired)" if meant != reached else ""
        first = rollout.waves[0] or "all"
        what = f"rollout {rollout.name}: {len(reached)} nodes{left} get profile {rollout.profile}, first {first}"
        if not is_meant(arguments, terminal, len(reached), what, "begin it?"):
            return 1
        now = time.time()
        rollout = replace(rollout, total=len(reached))
        with server.database.writing() as connection:
            if rollout_records.find_rollout(connection, rollout.name):
                raise OperatorError(
                    f"there is a rollout {rollout.name} already", "finished ones keep their names, as installs do"
                )
            # Once more, where nobody can come in between.
            _refuse_meeting(connection, rollout, select_nodes(connection, rollout.conditions))
            rollout_records.add_rollout(connection, rollout, author, now)
            rollout_records.add_history(connection, rollout.name, author, f"begun: {what}", now)
    terminal.tell({"rollout": rollout.name, "nodes": len(reached)}, what)
    return 0


def listing(arguments: argparse.Namespace, terminal: Terminal) -> int:
    now = time.time()
    with opened_server(read_config(arguments.home), create=False) as server, server.database.reading() as connection:
        found = rollout_records.list_rollouts(connection, unfinished_only=not arguments.all)
        tallies = [rollout_records.tally(connection, rollout, now) for rollout in found]
    data: list[Json] = [rollout_json(rollout, tally) for rollout, tally in zip(found, tallies, strict=True)]
    terminal.tell(data, rollout_rows(found, tallies))
    return 0


def show(arguments: argparse.Namespace, terminal: Terminal) -> int:
    now = time.time()
    with opened_server(read_config(arguments.home), create=False) as server, server.database.reading() as connection:
        rollout = _find(connection, arguments.name)
        tally = rollout_records.tally(connection, rollout, now)
        tickets = rollout_records.list_tickets(connection, rollout.name)
        history = rollout_records.list_history(connection, rollout.name)
        creation = rollout_records.creation_of(connection, rollout.name)
    entries: list[Json] = [{"at": entry.at, "by": entry.by, "text": entry.text} for entry in history]
    failed: list[Json] = [{"node_id": ticket.node_id, "why": ticket.why} for ticket in tickets if ticket.failed_at is not None]
    data: dict[str, Json] = {**rollout_json(rollout, tally), "failed_nodes": failed, "history": entries}
    terminal.tell(data, rollout_text(rollout, tally, tickets, history, creation, now))
    return 0


def pause(arguments: argparse.Namespace, terminal: Terminal) -> int:
    return _change(arguments, terminal, (RolloutState.RUNNING,), lambda rollout: replace(rollout, state=RolloutState.PAUSED))


def resume(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Also of one that stopped itself; refused if as many have failed as its limit says."""

    def resumed(rollout: Rollout) -> Rollout:
        stop_at = _stop_at(arguments.stop_at) if arguments.stop_at else rollout.stop_at
        return replace(rollout, state=RolloutState.RUNNING, why="", stop_at=stop_at)

    return _change(arguments, terminal, (RolloutState.PAUSED, RolloutState.STOPPED), resumed)


def abort(arguments: argparse.Namespace, terminal: Terminal) -> int:
    state = RolloutState.BACK if arguments.back else RolloutState.ABORTED
    later = (RolloutState.ABORTED,) if arguments.back else ()
    before = (RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.STOPPED, *later)
    return _change(arguments, terminal, before, lambda rollout: replace(rollout, state=state))


def finish(arguments: argparse.Namespace, terminal: Terminal) -> int:
    every = tuple(state for state in RolloutState if state is not RolloutState.FINISHED)
    return _change(arguments, terminal, every, lambda rollout: replace(rollout, state=RolloutState.FINISHED))


def _change(
    arguments: argparse.Namespace,
    terminal: Terminal,
    before: tuple[RolloutState, ...],
    change: Callable[[Rollout], Rollout],
) -> int:
    """From one of these states to another. Asks where many nodes were reached and will notice."""
    author, now = author_of(arguments), time.time()
    with opened_server(read_config(arguments.home), create=False) as server:
        with server.database.reading() as connection:
            rollout = _find(connection, arguments.name)
            tally = rollout_records.tally(connection, rollout, now)
        _refuse_state(rollout, before)
        new = change(rollout)
        notices = new.state in (RolloutState.BACK, RolloutState.FINISHED)
        what = f"rollout {rollout.name}: {rollout.state} -> {new.state}; it has reached {tally.reached} nodes"
        if notices and not is_meant(arguments, terminal, tally.reached, what, "change it?"):
            return 1
        with server.database.writing() as connection:
            current = _find(connection, arguments.name)
            _refuse_state(current, before)
            new = change(current)
            rollout_records.save_standing(connection, new)
            rollout_records.add_history(connection, new.name, author, f"{current.state} -> {new.state}", now)
            stands = check_rollout(connection, look_through(connection, new, now), now)
            if stands.state is not new.state:
                raise OperatorError(
                    f"rollout {new.name} would stop again at once: {stands.why}", "--stop-at 5%, or a number, allows more"
                )
    terminal.tell({"rollout": new.name, "state": new.state, "why": new.why}, what)
    return 0


def _wanted(arguments: argparse.Namespace) -> Rollout:
    if not re.fullmatch(NAME_PATTERN, arguments.name):
        raise WordsError(f"rollout {arguments.name!r}: expected lower-case letters, digits, - and _, beginning with no sign")
    if arguments.max_concurrent < 0:
        raise WordsError(f"--max-concurrent {arguments.max_concurrent}: expected a number from 0 (0: as many as a wave holds)")
    return Rollout(
        name=arguments.name,
        conditions=read_where(arguments.where),
        profile=arguments.profile,
        waves=read_waves(arguments.wave),
        stop_at=_stop_at(arguments.stop_at),
        max_concurrent=arguments.max_concurrent,
        soak_s=read_span(arguments.soak),
    )


def read_waves(text: str) -> tuple[int, ...]:
    """`1,20,500,rest`; only the last may be `rest`. Raises OperatorError."""
    parts = [part.strip() for part in text.split(",")]
    is_right = len(parts) <= MAX_WAVES and all(re.fullmatch(r"[1-9]\d{0,8}", part) for part in parts[:-1])
    if not is_right or not re.fullmatch(r"[1-9]\d{0,8}|rest", parts[-1]):
        raise WordsError(f"--wave {text}: expected numbers from 1, and at the end perhaps `rest`", "such as 1,20,500,rest")
    return tuple(REST if part == "rest" else int(part) for part in parts)


def read_span(text: str) -> int:
    """Seconds. Raises OperatorError."""
    found = re.fullmatch(r"(\d{1,9})([smhd]?)", text.strip())
    if found is None or int(found[1]) * SECONDS[found[2]] > MAX_SOAK_S:
        raise WordsError(f"--soak {text}: expected a span of at most 30d", "such as 90s, 10m, 2h or 1d")
    return int(found[1]) * SECONDS[found[2]]


def _stop_at(text: str) -> StopAt:
    try:
        return StopAt.from_text(text)
    except ValueError as error:
        raise WordsError(f"--stop-at: {error}") from error


def _find(connection: Connection, name: str) -> Rollout:
    rollout = rollout_records.find_rollout(connection, name)
    if rollout is None:
        raise OperatorError(f"there is no rollout {name!r}", "`bootpilot rollout list --all` shows all")
    return rollout


def _refuse_state(rollout: Rollout, before: tuple[RolloutState, ...]) -> None:
    if rollout.state not in before:
        wanted = " or ".join(before)
        because = f": {rollout.why}" if rollout.why else ""
        raise OperatorError(f"rollout {rollout.name} is {rollout.state}{because}", f"it must be {wanted}")


def _refuse_profile(server: Server, connection: Connection, rollout: Rollout) -> None:
    revision = server.revisions.in_force(connection)
    if rollout.profile not in revision.profiles:
        known = ", ".join(sorted(revision.profiles)) or "none"
        raise OperatorError(f"revision {revision.number} has no profile {rollout.profile}", f"it has: {known}")


def _refuse_meeting(connection: Connection, rollout: Rollout, meant: list[NodeRecord]) -> None:
    """Two rollouts that mean one node would pull at it from two sides."""
    for other in rollout_records.list_rollouts(connection, unfinished_only=True):
        tickets = {ticket.node_id for ticket in rollout_records.list_tickets(connection, other.name)}
        shared = [node.id for node in meant if node.id in tickets or _means(connection, other.conditions, node)]
        if shared:
            few = ", ".join(shared[:3]) + (", ..." if len(shared) > 3 else "")
            message = f"rollout {other.name} ({other.state}) means {len(shared)} of these nodes too: {few}"
            raise OperatorError(message, f"`bootpilot rollout finish {other.name}`, or select others")


def _means(connection: Connection, conditions: tuple[Condition, ...], node: NodeRecord) -> bool:
    return not why_not(conditions, record_facts(connection, node))
