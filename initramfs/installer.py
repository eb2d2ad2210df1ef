"""The content of the installer's initrd: what goes where. Starts nothing and writes nothing.

It is the loader with another program and with what it takes to write a disk: same /init, same drivers.
"""

from pathlib import Path

from bootpilot_agent.cpio import regular
from initramfs.architectures import Architecture
from initramfs.first_program import FIRST_PROGRAM, first_program
from initramfs.freeze import INSTALLER
from initramfs.image_layout import BuildFacts, begin_layout, end_layout
from initramfs.kernel import Kernel
from initramfs.layout import Layout
from initramfs.programs import add_libraries, add_loader_programs, loader_programs
from initramfs.ram_programs import STORAGE_LINKS, STORAGE_PROGRAMS, add_storage, program_names

LAST_PART = "installer"
PROGRAM = f"/opt/bootpilot/{INSTALLER.name}"


def installer_layout(
    architecture: Architecture, root: Path, installer: Path, kernel: Kernel, modules: Path, facts: BuildFacts
) -> Layout:
    """Everything in the installer's initrd. `root`: unpacked programs; `installer`: frozen; `modules`: staged with indexes."""
    layout = begin_layout(LAST_PART, facts)
    layout.add(LAST_PART, regular(FIRST_PROGRAM, first_program(PROGRAM, "the installer")))
    add_loader_programs(layout, root, program_names(STORAGE_PROGRAMS, STORAGE_LINKS))
    programs = [*loader_programs(root), *add_storage(layout, root)]
    layout.add_tree(LAST_PART, "opt/bootpilot", installer)
    add_libraries(layout, root, architecture, [*programs, installer / INSTALLER.name], installer / "_internal")
    return end_layout(layout, modules, kernel)
