"""`bootpilot artifact ...`: what is stored under which digest, told to people and to programs."""

import argparse
import time

from bootpilot_agent.fields import Json
from bootpilot_server.artifacts import artifact_import, artifact_pruning
from bootpilot_server.commands.terminal import Terminal, columns
from bootpilot_server.server import opened_server, read_config


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
