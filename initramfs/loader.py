"""The content of a loader's initramfs: what goes where. Starts nothing and writes nothing."""

from pathlib import Path

from initramfs.architectures import Architecture
from initramfs.freeze import AGENT
from initramfs.image_layout import BuildFacts, begin_layout, end_layout
from initramfs.kernel import Kernel
from initramfs.layout import Layout
from initramfs.programs import add_libraries, add_loader_programs, loader_programs

LAST_PART = "agent"
PROGRAM = f"/opt/bootpilot/{AGENT.name}"


def loader_layout(
    architecture: Architecture, root: Path, agent: Path, kernel: Kernel, modules: Path, facts: BuildFacts
) -> Layout:
    """Everything in the loader's initramfs. `root`: unpacked programs; `agent`: frozen; `modules`: staged with indexes."""
    layout = begin_layout(LAST_PART, facts)
    add_loader_programs(layout, root)
    layout.add_tree(LAST_PART, "opt/bootpilot", agent)
    add_libraries(layout, root, architecture, [*loader_programs(root), agent / AGENT.name], agent / "_internal")
    return end_layout(layout, modules, kernel)
