"""`bootpilot loader ...`: newer loaders, from the builder's folder to loaders/NAME.toml, and what became of them."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent.fields import FieldError, Fields, Json
from bootpilot_agent.plan import ARCHITECTURES, BUILD_PATTERN
from bootpilot_server.artifacts.artifact_import import Imported, import_artifact
from bootpilot_server.commands.terminal import Terminal, columns
from bootpilot_server.errors import OperatorError
from bootpilot_server.server import opened_server, read_config
from bootpilot_server.site_folder.loaders import default_command_line
from bootpilot_server.store import loader_records, node_records

# What `scripts/build-initramfs ARCH -o DIR` leaves in its folder.
KERNEL, INITRAMFS, FACTS = "vmlinuz", "initramfs.zst", "loader.json"


@dataclass(frozen=True)
class LoaderFacts:
    """What the builder says of the loader in a folder."""

    arch: str
    build: str
    unpacked_bytes: int


def loader_add(arguments: argparse.Namespace, terminal: Terminal) -> int:
    facts = read_facts(arguments.dir)
    with opened_server(read_config(arguments.home), create=True) as server:
        kernel = import_artifact(server, arguments.dir / KERNEL, f"loader-{facts.arch}-{facts.build}-vmlinuz")
        initrd = import_artifact(server, arguments.dir / INITRAMFS, f"loader-{facts.arch}-{facts.build}-initramfs")
    if kernel.kernel_arch != facts.arch:
        found = kernel.kernel_arch or "no architecture that can be told"
        raise OperatorError(f"{arguments.dir / KERNEL}: is a kernel for {found}, {FACTS} says {facts.arch}")
    toml = to_toml(facts, kernel, initrd, arguments.console)
    data: dict[str, Json] = {"arch": facts.arch, "build": facts.build, "kernel": kernel.sha256, "initrd": initrd.sha256}
    terminal.tell({**data, "toml": toml}, toml)
    return 0


def read_facts(folder: Path) -> LoaderFacts:
    """Raises OperatorError if this is no folder of the builder's."""
    try:
        fields = Fields.from_bytes((folder / FACTS).read_bytes())
        return LoaderFacts(
            arch=fields.text("arch", pattern="|".join(ARCHITECTURES), expected="one of " + ", ".join(ARCHITECTURES)),
            build=fields.text("build_id", pattern=BUILD_PATTERN, expected="a build id"),
            unpacked_bytes=fields.number("unpacked_bytes"),
        )
    except OSError as error:
        hint = "`scripts/build-initramfs ARCH -o DIR` makes such a folder"
        raise OperatorError(f"{folder / FACTS}: {error.strerror}", hint) from error
    except FieldError as error:
        raise OperatorError(f"{folder / FACTS}: {error}") from error


def to_toml(facts: LoaderFacts, kernel: Imported, initrd: Imported, consoles: tuple[str, ...] | list[str]) -> str:
    """The text of loaders/ARCH.toml."""
    command_line = " ".join([default_command_line(facts.arch), *(f"console={console}" for console in consoles)])
    sized = initrd.to_toml() if initrd.unpacked_bytes else f"{initrd.to_toml()}\nunpacked_size = {facts.unpacked_bytes}"
    return f"""\
# loaders/{facts.arch}.toml: boards whose card holds another loader start this one, and it goes on from there.
arch = "{facts.arch}"
build = "{facts.build}"
priority = 10
offer = "always"                        # "needed": only to boards whose loader lacks what their profile needs
command_line = {json.dumps(command_line)}

{kernel.to_toml()}

{sized}

[dtb]
policy = "running"

[match]                                 # none: every {facts.arch} board
"""


def loader_list(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """The loaders in force, how many boards run each, and on how many it is not tried any more."""
    with opened_server(read_config(arguments.home), create=False) as server, server.database.reading() as connection:
        loaders = server.revisions.in_force(connection).loaders
        running = node_records.count_by_build(connection)
        given_up = loader_records.count_given_up(connection)
    data: list[Json] = [
        {
            "name": loader.name,
            "arch": loader.payload.arch,
            "build": loader.build,
            "offer": loader.offer,
            "priority": loader.selector.priority,
            "running_on": running.get(loader.build, 0),
            "given_up_on": given_up.get(loader.build, 0),
        }
        for loader in loaders
    ]
    keys = ("name", "arch", "build", "offer", "running_on", "given_up_on")
    rows = [[str(item[key]) for key in keys] for item in data if isinstance(item, dict)]
    terminal.tell(data, columns(("NAME", "ARCH", "BUILD", "OFFER", "RUNNING ON", "GIVEN UP ON"), rows))
    return 0
