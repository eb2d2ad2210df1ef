"""The content of the installer's initrd: what goes where. Starts nothing and writes nothing.

It is the loader with another program and with what it takes to write a disk: same /init, same drivers.
"""

from pathlib import Path

from bootpilot_agent.cpio import character_device, directory, regular
from initramfs.architectures import Architecture
from initramfs.first_program import FIRST_PROGRAM, first_program
from initramfs.freeze import INSTALLER
from initramfs.kernel import KMOD_INDEXES, Kernel
from initramfs.layout import Layout, merged_usr
from initramfs.loader import LAST_ENTRY, OVERLAY, BuildFacts, add_modules
from initramfs.programs import add_libraries, add_loader_programs, loader_programs
from initramfs.ram_programs import STORAGE_LINKS, STORAGE_PROGRAMS, add_storage, program_names

LAST_PART = "installer"
PROGRAM = f"/opt/bootpilot/{INSTALLER.name}"


def installer_layout(
    architecture: Architecture, root: Path, installer: Path, kernel: Kernel, modules: Path, facts: BuildFacts
) -> Layout:
    """Everything in the installer's initrd. `root`: unpacked programs; `installer`: frozen; `modules`: staged with indexes."""
    layout = Layout()
    for entry in merged_usr():
        layout.add("init", entry)
    layout.add("init", character_device("dev/console", 5, 1))
    layout.add_tree("init", "", OVERLAY)
    layout.add(LAST_PART, regular("etc/bootpilot/build.json", facts.to_json()))
    layout.add(LAST_PART, regular(FIRST_PROGRAM, first_program(PROGRAM, "the installer")))
    layout.add(LAST_PART, regular(LAST_ENTRY, b""))
    add_loader_programs(layout, root, program_names(STORAGE_PROGRAMS, STORAGE_LINKS))
    programs = [*loader_programs(root), *add_storage(layout, root)]
    layout.add_tree(LAST_PART, "opt/bootpilot", installer)
    add_libraries(layout, root, architecture, [*programs, installer / INSTALLER.name], installer / "_internal")
    add_modules(layout, modules, kernel.version, KMOD_INDEXES)
    layout.add("modules", directory("usr/lib/firmware"))
    return layout
