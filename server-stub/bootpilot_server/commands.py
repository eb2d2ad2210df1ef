"""The commands of `bootpilot`: each opens what it needs, calls the step, tells the answer, and returns the exit status."""

import argparse
import json
import os
import time
from pathlib import Path

from bootpilot_agent.fields import Json
from bootpilot_server import artifact_import, boot_records, check, node_records
from bootpilot_server.artifacts import ArtifactStore
from bootpilot_server.boot_state import state_of
from bootpilot_server.errors import OperatorError
from bootpilot_server.explain import explain, find_by_text
from bootpilot_server.records import BootRecord, NodeRecord
from bootpilot_server.rendering import one_line
from bootpilot_server.server import Server, default_home, open_server, read_config
from bootpilot_server.terminal import Terminal, columns

MAX_LISTED = 1_000_000


def artifact_add(arguments: argparse.Namespace, terminal: Terminal) -> int:
    server = _server(arguments, create=True)
    added = artifact_import.import_artifact(server, arguments.file, arguments.name or arguments.file.name)
    data: dict[str, Json] = {
        "sha256": added.sha256,
        "size": added.size_bytes,
        "name": added.name,
        "role": added.role,
        "kernel_arch": added.kernel_arch,
        "unpacked_size": added.unpacked_bytes,
        "toml": added.to_toml(),
    }
    terminal.tell(data, added.to_toml())
    return 0


def artifact_list(arguments: argparse.Namespace, terminal: Terminal) -> int:
    server = _server(arguments)
    rows = artifact_import.list_artifacts(server)
    broken = [sha256 for sha256, _, _ in rows if arguments.verify and not server.artifacts.is_intact(sha256)]
    data: list[Json] = [
        {"sha256": sha256, "size": size, "name": name, "broken": sha256 in broken} for sha256, size, name in rows
    ]
    marked = [[sha256, str(size), (name or "-") + ("  BROKEN" if sha256 in broken else "")] for sha256, size, name in rows]
    terminal.tell(data, columns(("SHA256", "SIZE", "NAME"), marked))
    if broken:
        terminal.error(f"{len(broken)} artifacts are not what their names say", "add the files again: that repairs them")
    return 1 if broken else 0


def check_dir(arguments: argparse.Namespace, terminal: Terminal) -> int:
    checked = check.check_folder(arguments.dir, ArtifactStore(read_config(_home(arguments)).artifacts))
    text = "\n".join(str(finding) for finding in checked.findings)
    summary = f"{len(checked.revision.profiles)} profiles, {len(checked.revision.rules)} rules"
    verdict = f"{summary}: good" if checked.is_usable else f"{summary}: not to be applied"
    terminal.tell({"usable": checked.is_usable, "findings": _findings(checked)}, f"{text}\n{verdict}" if text else verdict)
    return 0 if checked.is_usable else 1


def apply_dir(arguments: argparse.Namespace, terminal: Terminal) -> int:
    outcome = check.apply_folder(arguments.dir, _server(arguments, create=True))
    data: dict[str, Json] = {"applied": outcome.is_usable, "revision": outcome.number, "findings": _findings(outcome)}
    text = "\n".join(str(finding) for finding in outcome.findings)
    if not outcome.is_usable:
        verdict = (
            f"not applied; revision {outcome.number} stays in force"
            if outcome.number
            else "not applied; no revision is in force"
        )
    else:
        verdict = f"revision {outcome.number} is in force" + ("" if outcome.is_new else " (it was already: nothing changed)")
    terminal.tell({**data, "new": outcome.is_new}, f"{text}\n{verdict}" if text else verdict)
    return 0 if outcome.is_usable else 1


def node_list(arguments: argparse.Namespace, terminal: Terminal) -> int:
    server = _server(arguments)
    now = time.time()
    with server.database.reading() as connection:
        nodes = node_records.list_nodes(connection, limit=MAX_LISTED)
        boots = boot_records.current_boots(connection)
    data = [node_json(node, boots.get(node.id), now) for node in nodes]
    rows = [[str(item[key] or "-") for key in ("node_id", "model", "serial", "state", "profile")] for item in data]
    rows = [[*row, f"{now - node.last_seen_at:.0f} s ago"] for row, node in zip(rows, nodes, strict=True)]
    terminal.tell([*data], columns(("NODE", "MODEL", "SERIAL", "STATE", "PROFILE", "LAST SEEN"), rows))
    return 0


def node_show(arguments: argparse.Namespace, terminal: Terminal) -> int:
    server = _server(arguments)
    node = find_by_text(server, arguments.node)
    now = time.time()
    with server.database.reading() as connection:
        boot = boot_records.find_boot(connection, node.current_boot) if node.current_boot else None
        events = boot_records.list_events(connection, boot.id) if boot else []
        history = node_records.list_history(connection, node.id)
    data = node_json(node, boot, now)
    data["report"] = json.loads(node.report)
    data["events"] = [
        {"source": event.source, "seq": event.seq, "name": event.name, "at_ms": event.at_ms, "data": json.loads(event.data)}
        for event in events
    ]
    data["history"] = [{"at": entry.at, "boot_id": entry.boot_id, "text": entry.text} for entry in history]
    lines = [
        f"{key}: {one_line(str(data[key]))}"
        for key in ("node_id", "model", "serial", "state", "text", "profile", "approved", "failures")
    ]
    lines += ["why:", *(f"  {one_line(str(reason))}" for reason in (boot.read_why() if boot else []))]
    lines += [
        "events:",
        *(f"  {event.source} {event.at_ms / 1000:.3f} s {event.name} {one_line(event.data)}" for event in events),
    ]
    lines += [
        "history:",
        *(f"  {time.strftime('%F %T', time.localtime(entry.at))} {one_line(entry.text)}" for entry in history),
    ]
    terminal.tell(data, "\n".join(lines))
    return 0


def node_approve(arguments: argparse.Namespace, terminal: Terminal) -> int:
    server = _server(arguments)
    nodes = [find_by_text(server, text) for text in arguments.node]
    for node in nodes:
        if node.conflict:
            raise OperatorError(
                f"node {node.id} stands for a contradiction: {node.conflict}", "approve the boards it names instead"
            )
    with server.database.writing() as connection:
        for node in nodes:
            node_records.approve_node(connection, node.id, time.time())
    terminal.tell({"approved": [node.id for node in nodes]}, "\n".join(f"approved {node.id}" for node in nodes))
    return 0


def explain_node(arguments: argparse.Namespace, terminal: Terminal) -> int:
    server = _server(arguments)
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
    terminal.tell(data, "\n".join([head, *(f"  {one_line(reason)}" for reason in told.decision.why)]))
    return 0


def node_json(node: NodeRecord, boot: BootRecord | None, now: float) -> dict[str, Json]:
    """One node for programs: the same words as on the status page."""
    state = state_of(boot, now) if boot else None
    return {
        "node_id": node.id,
        "model": node.model,
        "serial": node.serial,
        "state": state.kind.value if state else "new",
        "text": state.text if state else "",
        "percent": state.percent if state else 0,
        "profile": boot.profile if boot else "",
        "why": [*boot.read_why()] if boot else [],
        "approved": node.approved_at is not None,
        "simulated": node.simulated,
        "conflict": node.conflict,
        "failures": node.failures + (1 if state and state.is_failure else 0),
        "boot_id": node.current_boot,
        "address": node.address,
        "last_seen_at": node.last_seen_at,
    }


def _findings(checked: check.Checked) -> list[Json]:
    return [
        {"file": found.file, "line": found.line, "reason": found.reason, "warning": found.warning} for found in checked.findings
    ]


def _server(arguments: argparse.Namespace, *, create: bool = False) -> Server:
    return open_server(read_config(_home(arguments)), create=create)


def _home(arguments: argparse.Namespace) -> Path:
    home: Path | None = arguments.home
    return home or default_home(os.environ)
