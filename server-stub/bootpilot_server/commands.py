"""`bootpilot artifact ...`, `check` and `apply`: what an operator puts into the server."""

import argparse
import time

from bootpilot_agent.fields import Json
from bootpilot_server import artifact_import, artifact_pruning, check
from bootpilot_server.artifacts import ArtifactStore
from bootpilot_server.server import opened_server, read_config
from bootpilot_server.terminal import Terminal, columns


def artifact_add(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with opened_server(read_config(arguments.home), create=True) as server:
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
    with opened_server(read_config(arguments.home), create=False) as server:
        stored = artifact_import.list_artifacts(server)
        broken = {sha256 for sha256, _, _ in stored if arguments.verify and not server.artifacts.is_intact(sha256)}
    data: list[Json] = [
        {"sha256": sha256, "size": size, "name": name, "broken": sha256 in broken} for sha256, size, name in stored
    ]
    rows = [[sha256, str(size), (name or "-") + ("  BROKEN" if sha256 in broken else "")] for sha256, size, name in stored]
    terminal.tell(data, columns(("SHA256", "SIZE", "NAME"), rows))
    if broken:
        terminal.error(f"{len(broken)} artifacts are not what their names say", "add the files again: that repairs them")
    return 1 if broken else 0


def artifact_rm(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """All of them or, if one is still needed, none."""
    with opened_server(read_config(arguments.home), create=False) as server:
        removed = artifact_pruning.remove_named(server, arguments.digest, time.time())
    terminal.tell({"removed": [*removed]}, "\n".join(f"removed {sha256}" for sha256 in removed))
    return 0


def artifact_prune(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with opened_server(read_config(arguments.home), create=False) as server:
        found = artifact_pruning.prune(server, time.time(), remove=arguments.yes)
    data: list[Json] = [{"sha256": item.sha256, "size": item.size_bytes, "name": item.name} for item in found]
    total = f"{len(found)} artifacts, {sum(item.size_bytes for item in found)} bytes"
    told = f"removed: {total}" if arguments.yes else f"would be removed: {total}" + ("; --yes removes them" if found else "")
    rows = [[item.sha256, str(item.size_bytes), item.name or "-"] for item in found]
    table = columns(("SHA256", "SIZE", "NAME"), rows) + "\n" if found else ""
    terminal.tell({"removed": arguments.yes, "artifacts": data}, table + told)
    return 0


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
