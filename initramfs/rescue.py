"""The content of the rescue system's initrd: what goes where. Starts nothing and writes nothing.

It has the loader's /init and drivers, the workload's way into the network, and programs to look at disks with; no Python.
"""

from pathlib import Path

from bootpilot_agent.cpio import regular
from initramfs.architectures import Architecture
from initramfs.first_program import FIRST_PROGRAM, first_program
from initramfs.image_layout import BuildFacts, begin_layout, end_layout
from initramfs.kernel import Kernel
from initramfs.layout import Layout
from initramfs.programs import add_libraries, add_loader_programs, loader_programs
from initramfs.ram_programs import (
    RESCUE_PROGRAMS,
    STORAGE_LINKS,
    STORAGE_PROGRAMS,
    add_programs,
    add_sftp_server,
    add_storage,
    program_names,
)
from initramfs.workload import FILES as WORKLOAD_FILES

LAST_PART = "rescue"
FILES = Path(__file__).with_name("rescue")
PROGRAM = "/usr/lib/rescue/rescue"
# Of the workload: what it knows about a board, its way into the network, its care for the watchdog.
_SHARED = ("facts", "network", "dhcp", "watchdog")
# Run in the finished image: every program starts, and a host key can be made.
SELF_TEST = (
    f"for name in {' '.join(sorted(program_names(STORAGE_PROGRAMS + RESCUE_PROGRAMS, STORAGE_LINKS)))}; do "
    "$name --version </dev/null >/dev/null 2>&1; [ $? -lt 126 ] || { echo $name does not start >&2; exit 1; }; done; "
    "dropbearkey -t ed25519 -f /tmp/key >&2"
)
_CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"


def rescue_layout(
    architecture: Architecture, root: Path, certificates: Path, kernel: Kernel, modules: Path, facts: BuildFacts
) -> Layout:
    """Everything in the initrd. `root`: unpacked programs; `certificates`: PEM; `modules`: staged with indexes."""
    layout = begin_layout(LAST_PART, facts)
    layout.add_tree(LAST_PART, "", FILES)
    for name in _SHARED:
        layout.add_file(LAST_PART, f"usr/lib/workload/{name}", WORKLOAD_FILES / "usr/lib/workload" / name)
    layout.add(LAST_PART, regular(FIRST_PROGRAM, first_program(PROGRAM, "the rescue system")))
    add_loader_programs(layout, root, program_names(STORAGE_PROGRAMS, STORAGE_LINKS))
    programs = [*loader_programs(root), *add_storage(layout, root), *add_programs(layout, "tools", root, RESCUE_PROGRAMS)]
    add_libraries(layout, root, architecture, [*programs, add_sftp_server(layout, "tools", root)])
    layout.add_file("tools", _CERTIFICATES, certificates)
    return end_layout(layout, modules, kernel)
