"""`bootpilot backup`, `restore` and `prune`: what is kept of a server's folder, and where."""

import argparse
import time

from bootpilot_agent.fields import Json
from bootpilot_server.backup.reading import restore
from bootpilot_server.backup.writing import write_backup
from bootpilot_server.commands.terminal import Terminal, columns
from bootpilot_server.server import opened_server, read_config
from bootpilot_server.store import pruning

WORDS = {
    "boots": "boots with all that belongs to them",
    "events": "boots whose events go",
    "logs": "boots whose logs and recording go",
    "questions": "questions that nobody can repeat any more",
    "history": "entries of nodes' histories",
    "refusals": "refused reports",
}


def backup(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with opened_server(read_config(arguments.home), create=False) as server:
        manifest = write_backup(
            server,
            arguments.file,
            with_artifacts=arguments.with_artifacts,
            with_key=arguments.with_key,
            replace=arguments.force,
        )
    size = arguments.file.stat().st_size
    lines = [f"{arguments.file}: {size} bytes", *manifest.contents()]
    terminal.tell({"file": str(arguments.file), "size": size, **manifest.to_json()}, "\n".join(lines))
    return 0


def restore_backup(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Exit status 0 also where artifacts are missing: the folder is restored, and what to do next is said."""
    restored = restore(read_config(arguments.home), arguments.file, force=arguments.force)
    lines = [f"{arguments.home}: restored from {arguments.file}"]
    lines += [f"what was there before: {restored.aside}"] if restored.aside else []
    lines += [] if restored.has_key else ["no secret.key: the server makes one at its start, and boots under way begin anew"]
    lines += [f"missing, and named by the revision in force: artifact {sha256}" for sha256 in restored.missing]
    lines += ["  hint: `bootpilot artifact add FILE` for each, before boards ask"] if restored.missing else []
    data: dict[str, Json] = {
        "home": str(arguments.home),
        "aside": str(restored.aside) if restored.aside else None,
        "has_key": restored.has_key,
        "missing": [*restored.missing],
    }
    terminal.tell(data, "\n".join(lines))
    return 0


def prune_old(arguments: argparse.Namespace, terminal: Terminal) -> int:
    now = time.time()
    with opened_server(read_config(arguments.home), create=False) as server:
        if arguments.yes:
            found = pruning.prune(server.database, server.config.keep, now)
        else:
            with server.database.reading() as connection:
                found = pruning.find_prunable(connection, server.config.keep, now)
    counts = found.counts()
    rows = [[str(count), WORDS[what]] for what, count in counts.items() if count]
    told = "removed" if arguments.yes else "would be removed; --yes removes them"
    table = columns(("COUNT", "WHAT"), rows) + "\n" if rows else ""
    terminal.tell({"removed": arguments.yes, **counts}, table + (told if rows else "nothing happened so long ago"))
    return 0
