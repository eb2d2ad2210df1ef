"""Which drivers an installed system's own initrd carries, as initramfs-tools is told. Pure.

The loader found the disk with the drivers of initramfs/drivers.py, so the system finds it with the same. Everything
(MODULES=most) would be several times as large; what the building machine needs (MODULES=dep) says nothing about a board.
"""

from collections.abc import Iterable

from initramfs.drivers import DRIVER_GROUPS
from scripts.rootfs.overlay_archive import OverlayFile

_HOOK = """\
#!/bin/sh
# Carries the drivers of the boards' disks and of what these hang on, whatever the machine that makes the initrd has itself.
[ "$1" != prereqs ] || exit 0
. /usr/share/initramfs-tools/hook-functions
manual_add_modules {names}
for folder in {folders}; do
    copy_modules_dir "$folder"
done
"""


def initramfs_settings(groups: Iterable[str]) -> tuple[OverlayFile, ...]:
    """The files that make initramfs-tools carry the modules of these groups and no others."""
    wanted = set(groups)
    words = sorted({word for group in DRIVER_GROUPS if group.name in wanted for word in group.modules.split()})
    names = [word for word in words if "/" not in word]
    folders = [f"kernel/{word.removesuffix('/*')}" for word in words if "/" in word]
    hook = _HOOK.format(names=" ".join(names), folders=" ".join(folders))
    return (
        OverlayFile("etc/initramfs-tools/conf.d/bootpilot", b"MODULES=list\nCOMPRESS=zstd\n"),
        OverlayFile("etc/initramfs-tools/hooks/bootpilot-drivers", hook.encode(), executable=True),
    )
