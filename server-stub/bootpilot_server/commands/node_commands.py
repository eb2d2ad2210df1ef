"""`bootpilot node ...` and `bootpilot explain`: what the server knows of boards, told to people and to programs."""

import argparse
import json
import time
from collections.abc import Sequence

from sqlalchemy import Row

from bootpilot_agent.evidence import Grade
from bootpilot_agent.fields import Json
from bootpilot_server.asking.resolution import settle_conflicts
from bootpilot_server.commands.evidence_text import evidence_json, evidence_lines
from bootpilot_server.commands.explain import explain, find_by_text
from bootpilot_server.commands.life_text import install_json, life_json, life_lines, run_json, ticket_json
from bootpilot_server.commands.terminal import Terminal, columns
from bootpilot_server.deciding.boot_state import state_of
from bootpilot_server.deciding.install_facts import InstallFacts
from bootpilot_server.deciding.moments import moment
from bootpilot_server.deciding.records import BootRecord, NodeRecord
from bootpilot_server.deciding.remedies import remedies
from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.server import opened_server, read_config
from bootpilot_server.store import (
    boot_records,
    evidence_records,
    install_records,
    install_runs,
    loader_records,
    node_records,
    rollout_records,
)

MAX_LISTED = 1_000_000
SHOWN = (
    *("node_id", "name", "model", "serial", "address", "state", "text", "profile"),
    *("approved", "approval", "known_by", "labels", "static_address", "own_profile", "hold", "rollout", "failures", "boot_id"),
)
LISTED = ("node_id", "name", "model", "serial", "known_by", "state", "profile", "rollout")


def node_list(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with opened_server(read_config(arguments.home), create=False) as server, server.database.reading() as connection:
        nodes = node_records.list_nodes(connection, limit=MAX_LISTED)
        boots = boot_records.current_boots(connection)
        installs = install_records.every_current_install(connection)
    now = time.time()
    data = [node_json(node, boots.get(node.id), now, installs.get(node.id)) for node in nodes]
    rows = [[str(item[key] or "-") for key in LISTED] for item in data]
    for row, node in zip(rows, nodes, strict=True):
        install = installs.get(node.id)
        row += [install.state if install else "-", seen_ago(node, now)]
    head = ("NODE", "NAME", "MODEL", "SERIAL", "KNOWN BY", "STATE", "PROFILE", "ROLLOUT", "INSTALL", "LAST SEEN")
    terminal.tell([*data], columns(head, rows))
    return 0


def node_show(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with opened_server(read_config(arguments.home), create=False) as server:
        node = find_by_text(server, arguments.node)
        with server.database.reading() as connection:
            boot = boot_records.find_boot(connection, node.current_boot) if node.current_boot else None
            events = boot_records.list_events(connection, boot.id) if boot else []
            history = node_records.list_history(connection, node.id)
            spans = evidence_records.list_spans(connection, node.id)
            former = evidence_records.list_former(connection, node.id)
            installs = install_records.installs_of(connection, node.id)
            tickets = rollout_records.tickets_of_node(connection, node.id)
            runs = install_runs.runs_of(connection, node.id)
    now = time.time()
    data = node_json(node, boot, now, installs.get(node.wanted_install))
    lines = [f"{key}: {one_line(_told(data[key]))}" for key in SHOWN]
    lines += life_lines(node, installs, tickets.values(), runs, now)
    lines += [f"resolved by: {command}   ({meaning})" for command, meaning in remedies(node)]
    lines += ["evidence:", *evidence_lines(spans, former)]
    lines += ["why:", *(f"  {one_line(reason)}" for reason in (boot.read_why() if boot else []))]
    lines += [
        "events:",
        *(f"  {event.source} {event.at_ms / 1000:.3f} s {event.name} {one_line(event.data)}" for event in events),
    ]
    lines += ["history:", *(f"  {moment(entry.at)} {one_line(entry.text)}" for entry in history)]
    more: dict[str, Json] = {
        "report": json.loads(node.report) if node.has_reported else None,
        "installs": [
            {**install_json(facts), "boots": [run_json(run, now) for run in runs.get(facts.id, ())]}
            for facts in installs.values()
        ],
        "rollouts": [ticket_json(ticket) for ticket in tickets.values()],
        "evidence": [evidence_json(row) for row in (*spans, *former)],
        "events": _events_json(events),
        "history": _history_json(history),
    }
    terminal.tell({**data, **more}, "\n".join(lines))
    return 0


def node_forget(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """All of the nodes or, if one is not known or the person says no, none."""
    with opened_server(read_config(arguments.home), create=False) as server:
        found = {node.id: node for node in (find_by_text(server, text) for text in arguments.node)}
        told = [f"{node.id}  {one_line(node.model)}  {one_line(node.serial)}".rstrip() for node in found.values()]
        if not arguments.yes and not terminal.confirm("\n".join(told), "forget this, with boots, logs and history?"):
            return 1
        with server.database.writing() as connection:
            for node_id in found:
                node_records.forget_node(connection, node_id)
            settle_conflicts(connection, time.time())
    terminal.tell({"forgotten": [*found]}, "\n".join(f"forgot {line}" for line in told))
    return 0


def node_retry_loader(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """All of the nodes or, if one is not known, none."""
    with opened_server(read_config(arguments.home), create=False) as server:
        nodes = [find_by_text(server, text) for text in arguments.node]
        with server.database.writing() as connection:
            for node in nodes:
                loader_records.forget_tries(connection, node.id, time.time())
    told = "\n".join(f"newer loaders may be tried again on {node.id}" for node in nodes)
    terminal.tell({"cleared": [node.id for node in nodes]}, told)
    return 0


def explain_node(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with opened_server(read_config(arguments.home), create=False) as server:
        told = explain(server, find_by_text(server, arguments.node))
    plan = told.decision.plan.to_json()
    shown: dict[str, Json] = {key: value for key, value in plan.items() if key not in ("token", "nonce", "boot_id")}
    data: dict[str, Json] = {
        "node_id": told.node.id,
        "revision": told.revision,
        "rule": told.decision.rule,
        "profile": told.decision.profile,
        "action": told.decision.plan.action,
        "why": list(told.decision.why),
        "plan": shown,
    }
    head = f"node {told.node.id} would get: {told.decision.plan.action} (revision {told.revision or 'none'})"
    if told.node.known_by < Grade.STRONG:
        head += f"\n  it is known only by {told.node.known_by.name.lower()} evidence"
    terminal.tell(data, "\n".join([head, *(f"  {one_line(reason)}" for reason in told.decision.why)]))
    return 0


def seen_ago(node: NodeRecord, now: float) -> str:
    return f"{now - node.last_seen_at:.0f} s ago" if node.has_reported else "never"


def node_json(node: NodeRecord, boot: BootRecord | None, now: float, install: InstallFacts | None) -> dict[str, Json]:
    """One node for programs: the same words as on the status page."""
    state = state_of(boot, now) if boot else None
    return {
        "node_id": node.id,
        "model": node.model,
        "serial": node.serial,
        "name": node.name,
        "labels": {**node.read_labels()},
        "static_address": node.static_address,
        "own_profile": node.profile_override,
        "state": state.kind.value if state else "new" if node.has_reported else "announced",
        "text": state.text if state else "",
        "percent": state.percent if state else 0,
        "profile": boot.profile if boot else "",
        "why": [*boot.read_why()] if boot else [],
        "approved": node.approved_at is not None,
        "approval": node.approval,
        "approved_by": node.approved_by,
        "known_by": node.known_by.name.lower(),
        "hold": node.hold,
        **life_json(node),
        "install": install_json(install) if install else None,
        "rollout": boot.rollout if boot else "",
        "batch": node.batch,
        "simulated": node.simulated,
        "conflict": node.conflict,
        "failures": node.failures + (1 if state and state.is_failure else 0),
        "boot_id": node.current_boot,
        "address": node.address,
        "last_seen_at": node.last_seen_at or None,
    }


def _events_json(events: Sequence[Row[tuple[object, ...]]]) -> list[Json]:
    return [
        {"source": event.source, "seq": event.seq, "name": event.name, "at_ms": event.at_ms, "data": json.loads(event.data)}
        for event in events
    ]


def _history_json(history: Sequence[Row[tuple[object, ...]]]) -> list[Json]:
    return [{"at": entry.at, "boot_id": entry.boot_id, "text": entry.text} for entry in history]


def _told(value: Json) -> str:
    """A value of the JSON as people write it."""
    if isinstance(value, dict):
        return " ".join(f"{key}={one}" for key, one in value.items()) or "-"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value) if value not in ("", None) else "-"
