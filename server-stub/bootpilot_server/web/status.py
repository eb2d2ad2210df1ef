"""The pages for people: which boards there are, what each is doing, and why. Reads only; needs no script in the browser."""

import json
import time
from collections.abc import Iterable, Mapping
from typing import TypeVar

from flask import Blueprint, Response, request
from sqlalchemy import Connection

from bootpilot_agent.evidence import Grade
from bootpilot_agent.fields import Json
from bootpilot_agent.recording import SUFFIX
from bootpilot_server.deciding.boot_state import BootState, state_of
from bootpilot_server.deciding.install_facts import InstallFacts
from bootpilot_server.deciding.records import BootRecord, NodeRecord
from bootpilot_server.deciding.remedies import remedies
from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.errors import ProblemError
from bootpilot_server.store import (
    boot_records,
    evidence_records,
    install_records,
    install_runs,
    loader_records,
    node_records,
    node_search,
    revision_records,
    rollout_records,
)
from bootpilot_server.store.refusals import list_refusals
from bootpilot_server.web.current import current_server
from bootpilot_server.web.page import page_of
from bootpilot_server.web.recording_details import recording_details

Found = TypeVar("Found")

status = Blueprint("status", __name__)

PAGE_NODES = 100
LOG_TAIL_BYTES = 16 << 10
MAX_CONFLICTS = 20
# Far enough for anybody's patience, and no number that a database cannot take.
MAX_PAGE = 10_000
MAX_SOUGHT = 200


@status.get("/")
def index() -> Response:
    now = time.time()
    with current_server().database.reading() as connection:
        total = node_records.count_nodes(connection)
        pages = max(1, -(-total // PAGE_NODES))
        page = min(max(1, request.args.get("page", 1, type=int)), pages)
        found = node_search.find_page(connection, "", "", now, limit=PAGE_NODES, offset=(page - 1) * PAGE_NODES)
        conflicts = node_search.find_page(connection, node_search.CONFLICT, "", now, limit=MAX_CONFLICTS) if page == 1 else []
        counts = node_search.count_standings(connection)
        revision = revision_records.current_number(connection)
        installs = _installs(connection, found)
        rollouts = rollout_records.list_rollouts(connection, unfinished_only=True)
    values: dict[str, object] = {"total": total, "page": page, "pages": pages, "revision": revision, "counts": counts}
    values["rows"] = [_row(node, boot, now, installs.get(node.id)) for node, boot in found]
    values["rollouts"] = rollouts
    values["conflicts"] = [node for node, _ in conflicts]
    values["refusals"] = list_refusals(current_server().database)
    return page_of("index.html", now=now, **values)


@status.get("/find")
def find() -> Response:
    """Nodes by state and text. It does not reload by itself: somebody may be typing."""
    now, text, state = time.time(), request.args.get("text", "")[:MAX_SOUGHT], request.args.get("state", "")
    page = min(max(1, request.args.get("page", 1, type=int)), MAX_PAGE)
    if state and state not in node_search.STATES:
        raise ProblemError(400, f"there is no state {one_line(state[:40])!r}; there are: {', '.join(node_search.STATES)}")
    is_asked = bool(text.strip() or state)
    with current_server().database.reading() as connection:
        offset = (page - 1) * PAGE_NODES
        found = node_search.find_page(connection, state, text, now, limit=PAGE_NODES + 1, offset=offset) if is_asked else []
        installs = _installs(connection, found)
    rows = [_row(node, boot, now, installs.get(node.id)) for node, boot in found[:PAGE_NODES]]
    values: dict[str, object] = {"rows": rows, "more": len(found) > PAGE_NODES, "page": page, "text": text, "state": state}
    return page_of("find.html", now=now, states=node_search.STATES, is_asked=is_asked, **values)


@status.get("/nodes/<node_id>")
def node(node_id: str) -> Response:
    now = time.time()
    with current_server().database.reading() as connection:
        record = node_records.find_node(connection, node_id)
        if record is None:
            raise ProblemError(404, "there is no such node")
        details: dict[str, object] = {
            "spans": evidence_records.list_spans(connection, node_id),
            "former": evidence_records.list_former(connection, node_id),
            "expected": evidence_records.list_expected(connection, node_id),
        }
        boots = boot_records.list_boots(connection, node_id)
        history = node_records.list_history(connection, node_id)
        current = next((boot for boot in boots if boot.id == record.current_boot), None)
        details |= _details(connection, current) if current else {}
        installs = install_records.installs_of(connection, node_id)
        runs = [run for several in install_runs.runs_of(connection, node_id).values() for run in several]
        details["tickets"] = rollout_records.tickets_of_node(connection, node_id)
        details["tries"] = loader_records.tries_of(connection, node_id)
    details["loaders"] = current.read_loader_builds() if current else ()
    details["kexec"] = record.read_report().inventory.kexec if record.has_reported else None
    details["grades"] = {grade.value: grade.name.lower() for grade in Grade}
    report = json.loads(record.report) if record.has_reported else None
    states = [(boot, state_of(boot, now)) for boot in boots]
    newest = sorted(runs, key=lambda run: -run.boot.started_at)
    details["runs"] = [(run, state_of(run.boot, now)) for run in newest]
    row = _row(record, current, now, installs.get(record.wanted_install))
    details["installs"] = sorted(installs.values(), key=lambda facts: (facts.id != record.wanted_install, -facts.wanted_at))
    return page_of("node.html", row=row, node=record, states=states, history=history, report=report, **details)


@status.get("/boots/<boot_id>")
def boot(boot_id: str) -> Response:
    with current_server().database.reading() as connection:
        record = _find(boot_records.find_boot(connection, boot_id))
        details = _details(connection, record)
        raw = boot_records.read_recording(connection, boot_id)
    return page_of("boot.html", state=state_of(record, time.time()), **details, **recording_details(raw))


@status.get("/boots/<boot_id>/log/<source>")
def whole_log(boot_id: str, source: str) -> Response:
    with current_server().database.reading() as connection:
        data = _find(boot_records.read_log(connection, boot_id, source) or None)
    return _as_data(data, "text/plain; charset=utf-8")


@status.get("/boots/<boot_id>/recording")
def recording(boot_id: str) -> Response:
    with current_server().database.reading() as connection:
        record = _find(boot_records.find_boot(connection, boot_id))
        data = _find(boot_records.read_recording(connection, boot_id))
    response = _as_data(data, "application/octet-stream")
    response.headers["Content-Disposition"] = f'attachment; filename="{record.id}{SUFFIX}"'
    return response


def _details(connection: Connection, boot: BootRecord) -> dict[str, object]:
    """What boot_details.html shows of one boot."""
    sources = boot_records.list_logs(connection, boot.id)
    return {
        "boot": boot,
        "events": boot_records.list_events(connection, boot.id),
        "tails": {source: _tail(boot_records.read_log_tail(connection, boot.id, source, LOG_TAIL_BYTES)) for source in sources},
        "recorded": boot_records.has_recording(connection, boot.id),
        "plan": json.dumps(_shown_plan(boot), indent=2),
    }


def _shown_plan(boot: BootRecord) -> dict[str, Json]:
    """The plan without what leads to its files: anybody reads these pages, and a short secret can be guessed by its digest."""
    plan = boot.read_plan()
    payload = plan.get("boot")
    if isinstance(payload, dict) and isinstance(files := payload.get("files"), list):
        shown: list[Json] = [
            {key: value for key, value in file.items() if key in ("path", "mode")} for file in files if isinstance(file, dict)
        ]
        plan["boot"] = {**payload, "files": shown}
    return plan


def _installs(connection: Connection, found: Iterable[tuple[NodeRecord, BootRecord | None]]) -> dict[str, InstallFacts]:
    return install_records.current_installs(connection, [node.id for node, _ in found])


def _row(node: NodeRecord, boot: BootRecord | None, now: float, install: InstallFacts | None) -> Mapping[str, object]:
    state: BootState | None = state_of(boot, now) if boot else None
    failures = node.failures + (1 if state and state.is_failure else 0)
    why = boot.read_why() if boot else []
    row = {"node": node, "boot": boot, "state": state, "why": why, "failures": failures, "install": install}
    return row | {"remedies": remedies(node)}


def _as_data(data: bytes, content_type: str) -> Response:
    response = Response(data, content_type=content_type)
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


def _find(found: Found | None) -> Found:
    if found is None:
        raise ProblemError(404, "there is no such boot, or it has none")
    return found


def _tail(data: bytes) -> str:
    """The end of a log, line by line, with everything unprintable replaced."""
    text = data.decode("utf-8", "replace")
    return "\n".join(one_line(line) for line in text.split("\n"))
