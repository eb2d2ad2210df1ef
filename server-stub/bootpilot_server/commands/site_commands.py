"""`bootpilot check` and `apply`: an operator's folder, told to be good or not, and put in force."""

import argparse

from bootpilot_agent.fields import Json
from bootpilot_server.artifacts.artifact_store import ArtifactStore
from bootpilot_server.commands.terminal import Terminal
from bootpilot_server.server import opened_server, read_config
from bootpilot_server.site_folder import check


def check_dir(arguments: argparse.Namespace, terminal: Terminal) -> int:
    checked = check.check_folder(arguments.dir, ArtifactStore(read_config(arguments.home).artifacts))
    revision = checked.revision
    loaders = f", {len(revision.loaders)} loaders" if revision.loaders else ""
    summary = f"{len(revision.profiles)} profiles, {len(revision.rules)} rules{loaders}"
    verdict = f"{summary}: good" if checked.is_usable else f"{summary}: not to be applied"
    terminal.tell({"usable": checked.is_usable, "findings": _findings(checked)}, _told(checked, verdict))
    return 0 if checked.is_usable else 1


def apply_dir(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with opened_server(read_config(arguments.home), create=True) as server:
        applied = check.apply_folder(arguments.dir, server)
    if applied.is_usable:
        verdict = f"revision {applied.number} is in force" + ("" if applied.is_new else " (it was already: nothing changed)")
    elif applied.number:
        verdict = f"not applied; revision {applied.number} stays in force"
    else:
        verdict = "not applied; no revision is in force"
    data: dict[str, Json] = {"applied": applied.is_usable, "revision": applied.number, "new": applied.is_new}
    terminal.tell({**data, "findings": _findings(applied)}, _told(applied, verdict))
    return 0 if applied.is_usable else 1


def _told(checked: check.Checked, verdict: str) -> str:
    return "\n".join([*(str(finding) for finding in checked.findings), verdict])


def _findings(checked: check.Checked) -> list[Json]:
    return [
        {"file": found.file, "line": found.line, "reason": found.reason, "warning": found.warning} for found in checked.findings
    ]
