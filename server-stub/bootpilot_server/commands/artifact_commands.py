"""`bootpilot artifact ...`: what is stored under which digest, told to people and to programs."""

import argparse
import time

from bootpilot_agent.fields import Json
from bootpilot_agent.install_order import ImageKind
from bootpilot_server.artifacts import artifact_import, artifact_pruning
from bootpilot_server.artifacts.artifact_facts import ArtifactFacts, facts_of_artifact
from bootpilot_server.commands.terminal import Terminal, columns
from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.server import opened_server, read_config

IMAGES = {
    ImageKind.TAR: "root file system",
    ImageKind.OCI: "container image",
    ImageKind.DISK: "disk image",
}


def artifact_add(arguments: argparse.Namespace, terminal: Terminal) -> int:
    name = arguments.name or arguments.file.name
    with opened_server(read_config(arguments.home), create=True) as server:
        if arguments.as_is:
            added = artifact_import.Import((artifact_import.import_artifact(server, arguments.file, name),))
        else:
            added = artifact_import.import_file(server, arguments.file, name)
    parts = [_imported_json(part) for part in added.parts]
    more: dict[str, Json] = {"toml": added.to_toml(), "forms": [*added.forms], "command_line": added.command_line}
    terminal.tell({**parts[0], **more, "parts": [*parts]}, "\n".join([*_remarks(added), added.to_toml()]))
    return 0


def _imported_json(part: artifact_import.Imported) -> dict[str, Json]:
    return {
        "sha256": part.sha256,
        "size": part.size_bytes,
        "name": part.name,
        "role": part.facts.role,
        "kernel_arch": part.facts.arch,
        "kernel_version": part.facts.version,
        "modules": [*part.facts.modules],
        "image": part.facts.image,
        "unpacked_size": part.unpacked_bytes,
    }


def _remarks(added: artifact_import.Import) -> list[str]:
    """As comments of TOML: what was taken off, and what the kernel and the initrds say of themselves."""
    lines = [f"# taken out of: {', in '.join(reversed(added.forms))}"] if added.forms else []
    told = [(part.name, describe(part.facts)) for part in added.parts]
    return lines + [f"# {one_line(name)}: {text}" for name, text in told if text]


def describe(facts: ArtifactFacts) -> str:
    """Architecture and release of a kernel, or for which kernels an initrd has modules, in a few words."""
    if facts.role == "kernel":
        return one_line(f"{facts.arch} kernel {facts.version}".rstrip())
    if facts.image:
        return IMAGES[ImageKind(facts.image)]
    return one_line(f"modules for {', '.join(facts.modules)}") if facts.modules else ""


def artifact_list(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with opened_server(read_config(arguments.home), create=False) as server:
        stored = artifact_import.list_artifacts(server)
        broken = {sha256 for sha256, _, _ in stored if arguments.verify and not server.artifacts.is_intact(sha256)}
        facts = {sha256: facts_of_artifact(server.artifacts, sha256) for sha256, _, _ in stored}
    data: list[Json] = [
        {
            "sha256": sha256,
            "size": size,
            "name": name,
            "role": facts[sha256].role if name else "",
            "kernel_arch": facts[sha256].arch,
            "kernel_version": facts[sha256].version,
            "modules": [*facts[sha256].modules],
            "image": facts[sha256].image,
            "broken": sha256 in broken,
        }
        for sha256, size, name in stored
    ]
    rows = [
        [sha256, str(size), (name or "-") + ("  BROKEN" if sha256 in broken else ""), describe(facts[sha256]) or "-"]
        for sha256, size, name in stored
    ]
    terminal.tell(data, columns(("SHA256", "SIZE", "NAME", "WHAT"), rows))
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
        looked = artifact_pruning.prune(server, time.time(), remove=arguments.yes)
    found = looked.unneeded
    data: list[Json] = [{"sha256": item.sha256, "size": item.size_bytes, "name": item.name} for item in found]
    total = f"{len(found)} artifacts, {sum(item.size_bytes for item in found)} bytes"
    told = f"removed: {total}" if arguments.yes else f"would be removed: {total}" + ("; --yes removes them" if found else "")
    kept = [f"kept: {count} {reason}" for reason, count in looked.kept.items() if count]
    rows = [[item.sha256, str(item.size_bytes), item.name or "-"] for item in found]
    table = [columns(("SHA256", "SIZE", "NAME"), rows)] if found else []
    answer: dict[str, Json] = {"removed": arguments.yes, "artifacts": data, "kept": dict(looked.kept)}
    terminal.tell(answer, "\n".join([*table, *kept, told]))
    return 0
