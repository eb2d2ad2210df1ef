"""The content of a loader's initramfs: what goes where. Starts nothing and writes nothing."""

import json
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent import __version__
from bootpilot_agent.cpio import character_device, directory, regular
from initramfs.architectures import Architecture
from initramfs.freeze import AGENT
from initramfs.kernel import KMOD_INDEXES, Kernel
from initramfs.layout import Layout, merged_usr
from initramfs.programs import add_libraries, add_loader_programs, loader_programs

OVERLAY = Path(__file__).with_name("overlay")
# The last entry of the last part; /init looks for it, because a kernel that runs out of memory while unpacking goes on
# ("Initramfs unpacking failed: write error").
LAST_PART = "agent"
LAST_ENTRY = "zz-unpacked-to-the-end"


@dataclass(frozen=True)
class BuildFacts:
    """What the agent may know about its own making, as /etc/bootpilot/build.json. `built_unix_s` comes from the inputs."""

    build_id: str
    arch: str
    built_unix_s: int
    agent_version: str = __version__

    def to_json(self) -> bytes:
        return (json.dumps(vars(self), indent=1, sort_keys=True) + "\n").encode()


def loader_layout(
    architecture: Architecture, root: Path, agent: Path, kernel: Kernel, modules: Path, facts: BuildFacts
) -> Layout:
    """Everything in the loader's initramfs. `root`: unpacked programs; `agent`: frozen; `modules`: staged with indexes."""
    layout = Layout()
    for entry in merged_usr():
        layout.add("init", entry)
    # The kernel opens it for /init before /init can mount anything.
    layout.add("init", character_device("dev/console", 5, 1))
    layout.add_tree("init", "", OVERLAY)
    layout.add(LAST_PART, regular("etc/bootpilot/build.json", facts.to_json()))
    layout.add(LAST_PART, regular(LAST_ENTRY, b""))
    add_loader_programs(layout, root)
    layout.add_tree(LAST_PART, "opt/bootpilot", agent)
    add_libraries(layout, root, architecture, [*loader_programs(root), agent / AGENT.name], agent / "_internal")
    add_modules(layout, modules, kernel.version, KMOD_INDEXES)
    layout.add("modules", directory("usr/lib/firmware"))
    return layout


def add_modules(layout: Layout, modules: Path, version: str, indexes: tuple[str, ...]) -> None:
    """Staged modules with those of depmod's indexes that the image's modprobe reads."""
    folder = modules / version
    for path in sorted(folder.rglob("*.ko")):
        layout.add_file("modules", f"usr/lib/modules/{version}/{path.relative_to(folder)}", path)
    for name in indexes:
        layout.add_file("modules", f"usr/lib/modules/{version}/{name}", folder / name)
