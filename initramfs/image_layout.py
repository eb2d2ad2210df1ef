"""What the images' layouts have in common: how they begin, and how those with the loader's /init end. Starts nothing."""

import json
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent import __version__
from bootpilot_agent.cpio import character_device, directory, regular
from initramfs.kernel import KMOD_INDEXES, Kernel
from initramfs.layout import Layout, merged_usr

OVERLAY = Path(__file__).with_name("overlay")
# The last entry of the last part; /init looks for it, because a kernel that runs out of memory while unpacking goes on
# ("Initramfs unpacking failed: write error").
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


def begin_bare_layout(part: str, last_part: str) -> Layout:
    """An image's top folders, the console and, in its last part, the last entry. No /init yet."""
    layout = Layout()
    for entry in merged_usr():
        layout.add(part, entry)
    # The kernel opens it for /init before /init can mount anything.
    layout.add(part, character_device("dev/console", 5, 1))
    layout.add(last_part, regular(LAST_ENTRY, b""))
    return layout


def begin_layout(last_part: str, facts: BuildFacts) -> Layout:
    """The same with the loader's /init and what belongs to it, and the facts in the last part."""
    layout = begin_bare_layout("init", last_part)
    layout.add_tree("init", "", OVERLAY)
    layout.add(last_part, regular("etc/bootpilot/build.json", facts.to_json()))
    return layout


def end_layout(layout: Layout, modules: Path, kernel: Kernel) -> Layout:
    """With the drivers for kmod's modprobe, and the folder in which the kernel looks for firmware. Returns the layout."""
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
