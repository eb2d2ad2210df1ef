"""For which processor a system was built, told by its shell. Reads one header."""

import os
import struct

from bootpilot_install.errors import ImageError
from bootpilot_install.tree import Tree

# Every system that boots here has it; a container image without a shell is no system, but may be installed.
SHELL = "bin/sh"
# (e_machine, 64 bits) as in /usr/include/elf.h -> Debian's names.
MACHINES = {(62, True): "amd64", (183, True): "arm64", (40, False): "armhf", (243, True): "riscv64", (3, False): "i386"}
# Processors that run another one's programs as well, kernels apart.
ALSO_RUNS = {"amd64": ("i386",), "arm64": ("armhf",)}


def check_arch(tree: Tree, arch: str) -> None:
    """Raises ImageError for a system that this board cannot run. What has no shell is let through."""
    found = elf_arch(tree)
    if found not in ("", arch, *ALSO_RUNS.get(arch, ())):
        raise ImageError(f"the image is for {found}, and this board is {arch}", "name the image of this architecture")


def elf_arch(tree: Tree) -> str:
    """Debian's name, or nothing for what is no program that is known."""
    descriptor = tree.open_file(SHELL)
    if descriptor is None:
        return ""
    try:
        head = os.pread(descriptor, 20, 0)
    finally:
        os.close(descriptor)
    if len(head) < 20 or not head.startswith(b"\x7fELF") or head[5] != 1:
        return ""
    return MACHINES.get((struct.unpack_from("<H", head, 18)[0], head[4] == 2), "")
