"""The programs of the installer and the rescue system that a loader does not have: their packages and names."""

from collections.abc import Iterable
from pathlib import Path

from bootpilot_agent.cpio import symlink
from initramfs.architectures import Architecture
from initramfs.elf import is_elf
from initramfs.errors import BuildError
from initramfs.layout import Layout
from initramfs.private_apt import PackageSet
from initramfs.programs import root_packages

# Debian's own folders; since trixie all lie in /usr.
_FOLDERS = ("usr/sbin", "usr/bin", "sbin", "bin")

STORAGE_PACKAGES = ("util-linux", "mount", "fdisk", "e2fsprogs", "dosfstools", "zstd", "xz-utils", "tar")
# busybox has some of these, too: without GPT, extended attributes, sparse files or enough signatures.
STORAGE_PROGRAMS = """
    sfdisk blkid wipefs partx blockdev lsblk findmnt losetup mkswap mke2fs e2fsck resize2fs tune2fs dumpe2fs mkfs.fat fsck.fat
    zstd xz tar mount umount
"""
STORAGE_LINKS = {
    "usr/sbin/mkfs.ext4": "mke2fs",
    "usr/sbin/fsck.ext4": "e2fsck",
    "usr/sbin/mkfs.vfat": "mkfs.fat",
    "usr/bin/unxz": "xz",
    "usr/bin/xzcat": "xz",
    "usr/bin/unzstd": "zstd",
}
# Without it mke2fs makes file systems without a journal.
MKE2FS_SETTINGS = "etc/mke2fs.conf"

RESCUE_PACKAGES = ("busybox", "kmod", "libgcc-s1", "dropbear-bin", "curl", "rsync", "smartmontools", "gdisk")
# openssh-sftp-server links the C library only, but depends on a whole client.
SFTP_SERVER = "openssh-sftp-server"
# Where Debian's dropbear looks for it (debian/rules, SFTPSERVER_PATH).
SFTP_SERVER_PLACE = "usr/lib/sftp-server"
RESCUE_PROGRAMS = "dropbear dropbearkey curl rsync smartctl sgdisk"


def installer_packages(architecture: Architecture) -> PackageSet:
    """What the installer is frozen in and takes its programs from."""
    return PackageSet(with_dependencies=(*root_packages(architecture).with_dependencies, *STORAGE_PACKAGES))


def rescue_packages(architecture: Architecture) -> PackageSet:
    """What the rescue system takes its programs from."""
    # To strip modules; no part of the image.
    binutils = ("binutils",) if architecture.strip_modules else ()
    # depmod and the chroot want a shell and the usual programs.
    own = (*RESCUE_PACKAGES, *STORAGE_PACKAGES, "bash", "coreutils", *filter(None, [architecture.kexec_package]), *binutils)
    return PackageSet(with_dependencies=own, alone=(SFTP_SERVER,))


def program_names(programs: str, links: Iterable[str] = ()) -> frozenset[str]:
    """The names under which these programs are started; no applet of busybox has any of them."""
    return frozenset([*programs.split(), *(Path(link).name for link in links)])


def add_programs(layout: Layout, part: str, root: Path, programs: str) -> list[Path]:
    """Programs by name from an unpacked root to where they lie there (all in /usr). Returns their ELF files.

    Raises:
        BuildError: the root has no such program.
    """
    found = [_find(root, name) for name in programs.split()]
    for path in found:
        folder = str(path.parent.relative_to(root)).removeprefix("usr/")
        layout.add_file(part, f"usr/{folder}/{path.name}", path)
    return [path for path in found if is_elf(path)]


def add_storage(layout: Layout, root: Path) -> list[Path]:
    """What partitions, file systems and archives are made and looked at with. Returns the ELF files."""
    programs = add_programs(layout, "storage", root, STORAGE_PROGRAMS)
    for name, target in STORAGE_LINKS.items():
        layout.add("storage", symlink(name, target))
    layout.add_file("storage", MKE2FS_SETTINGS, root / MKE2FS_SETTINGS)
    return programs


def add_sftp_server(layout: Layout, part: str, root: Path) -> Path:
    """The program that scp and sftp talk to. Returns it."""
    path = root / "usr/lib/openssh/sftp-server"
    layout.add_file(part, SFTP_SERVER_PLACE, path)
    return path


def _find(root: Path, name: str) -> Path:
    for folder in _FOLDERS:
        path = root / folder / name
        if path.is_file():
            return path
    raise BuildError(f"the unpacked packages have no program {name}", f"looked in {', '.join(_FOLDERS)} of {root}")
