"""`bootpilot check`, `apply` and `rollback`: whether a folder is good, what it would change, and putting it in force."""

import argparse

from bootpilot_agent.fields import Json
from bootpilot_server.artifacts.artifact_store import ArtifactStore
from bootpilot_server.asking.every_node import preview
from bootpilot_server.asking.secret_source import SecretSource
from bootpilot_server.commands.consequences_text import consequences_json, consequences_text
from bootpilot_server.commands.selecting import author_of
from bootpilot_server.commands.terminal import Terminal
from bootpilot_server.errors import OperatorError
from bootpilot_server.server import Server, opened_server, read_config
from bootpilot_server.site_folder import apply, check
from bootpilot_server.store import revision_records


def check_dir(arguments: argparse.Namespace, terminal: Terminal) -> int:
    config = read_config(arguments.home)
    checked = check.check_folder(arguments.dir, ArtifactStore(config.artifacts), SecretSource(config.home).references().keys())
    revision = checked.revision
    loaders = f", {len(revision.loaders)} loaders" if revision.loaders else ""
    summary = f"{len(revision.profiles)} profiles, {len(revision.rules)} rules{loaders}"
    verdict = f"{summary}: good" if checked.is_usable else f"{summary}: not to be applied"
    terminal.tell({"usable": checked.is_usable, "findings": _findings(checked)}, _told(checked, verdict))
    return 0 if checked.is_usable else 1


def apply_dir(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with opened_server(read_config(arguments.home), create=True) as server:
        checked = check.check_folder(arguments.dir, server.artifacts, server.secrets.references().keys())
        return _apply(checked, server, arguments, terminal)


def rollback(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with opened_server(read_config(arguments.home), create=False) as server:
        with server.database.reading() as connection:
            current = revision_records.current_number(connection)
        number = current - 1 if arguments.number is None else arguments.number
        if not 1 <= number < current:
            earlier = f"the earlier ones are 1 to {current - 1}" if current > 1 else "there is none before it"
            raise OperatorError(f"revision {current} is in force, and {earlier}", "`bootpilot revisions` lists them")
        checked = apply.check_revision(server, number)
        return _apply(checked, server, arguments, terminal, f"rollback to {number}")


def _apply(checked: check.Checked, server: Server, arguments: argparse.Namespace, terminal: Terminal, note: str = "") -> int:
    """Show what would change, ask if it is much, and do it if nobody else did something meanwhile."""
    if not checked.is_usable:
        return _tell_applied(apply.put_in_force(checked, server, 0, ""), terminal, {}, "")
    base, found = preview(server, checked.revision)
    if arguments.against not in (None, base):
        raise OperatorError(f"revision {base} is in force, not {arguments.against}", "`bootpilot diff` shows what changed")
    shown = consequences_text(found)
    if arguments.dry_run:
        terminal.tell({"revision": base, "applied": False, "preview": consequences_json(found)}, _told(checked, shown))
        return 0
    if found.changed > server.config.ask_above and not arguments.yes and not terminal.confirm(shown, "put it in force?"):
        return 1
    applied = apply.put_in_force(checked, server, base, author_of(arguments), note)
    return _tell_applied(applied, terminal, {"preview": consequences_json(found)}, shown if found.changed else "")


def _tell_applied(applied: apply.Applied, terminal: Terminal, more: dict[str, Json], shown: str) -> int:
    if applied.is_usable:
        verdict = f"revision {applied.number} is in force" + ("" if applied.is_new else " (it was already: nothing changed)")
    elif applied.number:
        verdict = f"not applied; revision {applied.number} stays in force"
    else:
        verdict = "not applied; no revision is in force"
    data: dict[str, Json] = {"applied": applied.is_usable, "revision": applied.number, "new": applied.is_new, **more}
    text = _told(applied, f"{shown}\n{verdict}" if shown else verdict)
    terminal.tell({**data, "findings": _findings(applied)}, text)
    return 0 if applied.is_usable else 1


def _told(checked: check.Checked, verdict: str) -> str:
    return "\n".join([*(str(finding) for finding in checked.findings), verdict])


def _findings(checked: check.Checked) -> list[Json]:
    return [
        {"file": found.file, "line": found.line, "reason": found.reason, "warning": found.warning} for found in checked.findings
    ]
