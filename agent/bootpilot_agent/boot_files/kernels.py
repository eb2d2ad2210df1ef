"""Kernels in /boot by their versions, for systems without a boot loader's files. No I/O here.

The names are those of Debian and Ubuntu (vmlinuz-V, initrd.img-V), of Fedora (initramfs-V.img) and of Arch (vmlinuz-linux,
initramfs-linux.img). What a rescue entry of the distribution is, or a left-over, does not count.
"""

import re

from bootpilot_agent.boot_files.entry import MAX_ENTRIES, BootFileError, Entry, Tree, read_text
from bootpilot_agent.boot_files.versions import debian_key

COMMAND_LINE_FILE = "/etc/kernel/cmdline"
_KERNEL = re.compile(r"(?:vmlinuz|vmlinux|Image)(?:-(?P<version>.+))?")
_INITRDS = ("initrd.img-{}", "initramfs-{}.img", "initrd-{}.img", "initrd-{}", "initramfs-{}")
_BARE_INITRDS = ("initrd.img", "initramfs.img", "initrd")
_LEFT_OVER = re.compile(r".*(\.old|\.bak|\.dpkg-\w+|\.rpmnew|\.rpmsave|~)|.*0-rescue-.*")
# flash-kernel keeps the board's own tree there; of Debian's packages each has its trees in a folder of its version.
_TREES = ("/boot/dtbs/{0}/dtb", "/boot/dtb-{0}", "/dtb-{0}")
_TREE_FOLDERS = ("/boot/dtbs/{0}", "/dtbs/{0}", "/usr/lib/linux-image-{0}", "/boot/dtb-{0}", "/lib/firmware/{0}/device-tree")


def read_entries(tree: Tree, folder: str, command_line: str) -> list[Entry]:
    """One for each kernel, the newest first. Raises BootFileError where there is none."""
    names = tree.names(folder)
    kernels = [match for name in names if (match := _KERNEL.fullmatch(name)) and not _LEFT_OVER.fullmatch(name)]
    found = [(match["version"] or "", match[0]) for match in kernels]
    base = "" if folder == "/" else folder
    entries = [_to_entry(tree, base, names, name, version, command_line) for version, name in _sorted(found)[:MAX_ENTRIES]]
    if not entries:
        raise BootFileError(f"{folder}: no vmlinuz")
    return entries


def read_command_line(system: Tree) -> str:
    """/etc/kernel/cmdline of the system, on one line; "" where there is none."""
    if not system.is_file(COMMAND_LINE_FILE):
        return ""
    lines = [line for line in read_text(system, COMMAND_LINE_FILE).splitlines() if not line.lstrip().startswith("#")]
    return " ".join(" ".join(lines).split())


def _sorted(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(found, key=lambda pair: debian_key(pair[0]), reverse=True)


def _to_entry(tree: Tree, base: str, names: list[str], name: str, version: str, command_line: str) -> Entry:
    candidates = [pattern.format(version) for pattern in _INITRDS] if version else list(_BARE_INITRDS)
    initrd = next((candidate for candidate in candidates if candidate in names), "")
    trees = [pattern.format(version) for pattern in _TREES] if version else []
    folders = [pattern.format(version) for pattern in _TREE_FOLDERS] if version else []
    return Entry(
        source=f"{base}/{name}",
        kernel=f"{base}/{name}",
        initrds=(f"{base}/{initrd}",) if initrd else (),
        command_line=command_line,
        dtb=next((path for path in trees if tree.is_file(path)), ""),
        dtb_folder=next((path for path in folders if tree.names(path)), ""),
    )
