"""A Debian archive on this machine's disk, small enough for one installation: what apt can fetch, and the components that
installer_components.py makes.

Everything comes through apt. The archive is not signed; the installer is told so (debian-installer/allow_unauthenticated).
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from initramfs.cache import cached_folder, file_sha256, key_of
from tests.qemu.debian_apt import Apt
from tests.qemu.debian_archive import Archive, Release, Stanza
from tests.qemu.installer_components import Initrd, is_stand_in, make_components, wanted_components

# What the installer's components install into every system by apt-install; then dbus and libpam-systemd, which packages of the
# profile recommend.
SYSTEM = (
    "busybox", "ca-certificates", "console-setup", "e2fsprogs", "initramfs-tools", "installation-report",
    "keyboard-configuration", "laptop-detect", "locales", "pciutils", "popularity-contest", "sudo", "tasksel", "usbutils",
    "wget", "zstd", "dbus", "libpam-systemd",
)  # fmt: skip
# base-installer's kernel/*.sh choose them.
KERNELS = {"amd64": "linux-image-amd64", "arm64": "linux-image-arm64", "armhf": "linux-image-armmp"}
# Debian's own packages, and what stands in for some.
POOL, MADE = "pool", "made"
MAKERS = ("debian_apt.py", "debian_archive.py", "installer_components.py", "installer_mirror.py")


@dataclass(frozen=True)
class Mirror:
    """`root` is what a web server serves. `is_whole`: the installer can go on to the end; else partman is a stand-in.

    `made` are the components that are not Debian's own packages.
    """

    root: Path
    is_whole: bool
    made: tuple[str, ...]


def make_mirror(release: Release, initrd: Path, packages: Sequence[str] = ()) -> Mirror:
    """For the installer in this initrd. With `packages`, all of a base system, a kernel and these, to be installed. Made once
    for each state of the archive in reach.
    """
    with tempfile.TemporaryDirectory() as scratch:
        apt = Apt(release, Path(scratch) / "apt")
        makers = [file_sha256(Path(__file__).with_name(name)) for name in MAKERS]
        key = key_of([release.name, release.arch, file_sha256(initrd), sorted(packages), apt.index_digests(), makers])

        def fill(root: Path) -> None:
            archive = Archive(root, release)
            _add_components(archive, apt, Initrd.read(initrd), Path(scratch))
            if packages:
                _add_system(archive, apt, packages)
            archive.write_indexes()

        root = cached_folder("installer-mirrors", key, fill)
    made = tuple(sorted(path.name for path in (root / MADE).iterdir()))
    return Mirror(root, not any(is_stand_in(name) for name in made), made)


def _add_components(archive: Archive, apt: Apt, initrd: Initrd, scratch: Path) -> None:
    known = apt.components()
    wanted = wanted_components(known, initrd)
    found = apt.download(wanted, scratch / "components")
    missing = wanted - {path.name.partition("_")[0] for path in found}
    made = make_components(apt, known, initrd.kernel, missing, scratch)
    # Half of partman asks for the other half.
    for path in () if any(is_stand_in(path.name) for path in made) else found:
        archive.add(path, "main/debian-installer", POOL)
    for path in made:
        archive.add(path, "main/debian-installer", MADE)


def _add_system(archive: Archive, apt: Apt, packages: Sequence[str]) -> None:
    listed = apt.packages()
    for path in apt.download_system([*base_system(listed), *SYSTEM, KERNELS[archive.release.arch], *packages]):
        archive.add(path, "main", POOL, as_listed(listed, path))


def base_system(listed: Mapping[str, Stanza]) -> list[str]:
    """What debootstrap installs: everything required or important."""
    return sorted(name for name, item in listed.items() if item.get("Priority") in ("required", "important"))


def as_listed(listed: Mapping[str, Stanza], package: Path) -> Stanza:
    """What the archive says of a package otherwise than the package itself: debootstrap goes by the archive's priorities."""
    item = listed[package.name.partition("_")[0]]
    return {key: item[key] for key in ("Priority", "Section") if key in item}
