"""The installer's own components (udebs): which ones an installation loads, and those that the archive in reach lists and does
not have, made of the ordinary packages of the same version.
"""

import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.qemu.debian_apt import Apt
from tests.qemu.debian_archive import Release, Stanza, names_in, parse_stanzas, run, to_text

# Components that no test needs and that bring more in: other file systems, RAID, iSCSI, other firmware's boot loaders.
LEFT_OUT = frozenset(
    {
        "btrfs-progs-udeb", "depthcharge-tools-installer", "grub-installer", "jfsutils-udeb", "kickseed-common", "mdadm-udeb",
        "ntfs-3g-udeb", "open-iscsi-udeb", "os-prober-udeb", "partman-auto-raid", "partman-btrfs", "partman-cros",
        "partman-iscsi", "partman-jfs", "partman-md", "partman-xfs", "systemd-boot-installer", "xfsprogs-udeb",
        "flash-kernel-installer", "live-installer", "ppp-udeb",
    }
)  # fmt: skip
# What the installation's disks need of the kernel's modules; what these need in turn comes with them.
MODULES = (
    "ahci", "ahci_platform", "ata_generic", "autofs4", "efivarfs", "ext4", "isofs", "loop", "nls_ascii", "nls_cp437", "nvme",
    "sd_mod", "uas", "usb_storage", "vfat", "virtio_blk", "virtio_scsi", "xhci_pci",
)  # fmt: skip


@dataclass(frozen=True)
class Initrd:
    """What an installer's initrd says of itself: the components that it has, and the version of its kernel."""

    installed: list[Stanza]
    kernel: str

    @classmethod
    def read(cls, path: Path) -> "Initrd":
        """From its dpkg status."""
        text = run("sh", "-c", 'gzip -dc "$1" | cpio --quiet -i --to-stdout var/lib/dpkg/status', "sh", str(path))
        installed = parse_stanzas(text)
        name = next(item["Package"] for item in installed if item["Package"].startswith("kernel-image-"))
        return cls(installed, name.removeprefix("kernel-image-").removesuffix("-di"))


def wanted_components(known: Mapping[str, Stanza], initrd: Initrd) -> set[str]:
    """Names of the components that an installation loads: the standard ones with their dependencies, without LEFT_OUT."""
    kernel = initrd.kernel
    present = {item["Package"] for item in initrd.installed}
    present |= {name for item in initrd.installed for name in names_in(item.get("Provides", ""))}
    providers: dict[str, str] = {}
    for name, item in known.items():
        if item.get("Kernel-Version", kernel) == kernel:
            providers |= dict.fromkeys(names_in(item.get("Provides", "")), name)
    standard = [
        name
        for name, item in known.items()
        if item.get("Priority") in ("required", "important", "standard") and item.get("Kernel-Version", kernel) == kernel
    ]
    found: set[str] = set()
    waiting = standard
    while waiting:
        name = waiting.pop()
        name = name if name in known else providers.get(name, "")
        if not name or name in found or name in present or name in LEFT_OUT:
            continue
        found.add(name)
        waiting += names_in(known[name].get("Depends", ""))
    return found


def module_tree(image: Path, tree: Path, kernel: str) -> None:
    """MODULES of a linux-image package and all that they need, where the installer's own are."""
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch)
        run("dpkg-deb", "-x", str(image), str(whole))
        if not (whole / "lib").exists():
            (whole / "lib").symlink_to("usr/lib")
        run("depmod", "--basedir", str(whole), kernel)
        modules = whole / "lib/modules" / kernel
        lines = [line.partition(":") for line in (modules / "modules.dep").read_text().splitlines()]
        needs = {path: others.split() for path, _, others in lines}
        names = {re.sub(r"\.ko.*", "", Path(path).name).replace("-", "_"): path for path in needs}
        for path in {each for name in MODULES if name in names for each in (names[name], *needs[names[name]])}:
            target = tree / "lib/modules" / kernel / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(modules / path, target)


def files_tree(packages: Iterable[Path], tree: Path) -> None:
    """Programs, libraries and settings of ordinary packages, without what only people read."""
    for package in packages:
        run("dpkg-deb", "-x", str(package), str(tree))
    shutil.rmtree(tree / "usr/share", ignore_errors=True)
    shutil.rmtree(tree / "usr/lib/systemd", ignore_errors=True)


# Where the archive in reach has no partman for an architecture: what partman does first of all, and nothing after it. The menu
# runs it at the same place, and preseed_command is the installer's own.
STAND_IN, STAND_IN_VERSION = "partman-base", "999"
STAND_IN_POSTINST = """\
#!/bin/sh
depmod -a
udevadm trigger --action=add
udevadm settle
preseed_command partman/early_command
logger -t stand-in "early_command is over: no partman here"
sleep 3600
"""
STAND_IN_TEMPLATES = """\
Template: partman/early_command
Type: string
Description: for internal use only
"""


def is_stand_in(file_name: str) -> bool:
    """Whether this is the udeb that stands in for partman."""
    return file_name.startswith(f"{STAND_IN}_{STAND_IN_VERSION}_")


def make_udeb(name: str, version: str, arch: str, tree: Path, folder: Path, fields: Mapping[str, str]) -> Path:
    """A component of the files below `tree`; what stands in its DEBIAN/ is kept."""
    control = {
        "Package": name, "Version": version, "Architecture": arch, "Maintainer": "nobody <nobody@example.org>",
        "Section": "debian-installer", "Priority": "standard", "Description": "made for one test", **fields,
    }  # fmt: skip
    (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
    (tree / "DEBIAN" / "control").write_text(to_text(control))
    made = folder / f"{name}_{version.replace(':', '%3a')}_{arch}.udeb"
    run("dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(made))
    return made


def make_components(apt: Apt, known: Mapping[str, Stanza], kernel: str, missing: set[str], folder: Path) -> list[Path]:
    """Udebs instead of the missing ones. Where others are missing than can be made, the stand-in is among them."""
    made = folder / "made"
    made.mkdir()
    modules = {name for name in missing if "-modules-" in name}
    found = [_modules_udeb(apt, kernel, modules, folder, made)]
    if "e2fsprogs-udeb" in missing:
        found.append(_e2fsprogs_udeb(apt, known["e2fsprogs-udeb"], folder, made))
    if missing - modules - {"e2fsprogs-udeb"}:
        found.append(_stand_in(apt.release, folder, made))
    return found


def _modules_udeb(apt: Apt, kernel: str, missing: set[str], folder: Path, made: Path) -> Path:
    (image,) = apt.download([f"linux-image-{kernel}"], folder / "image")
    module_tree(image, folder / "modules", kernel)
    provided = ", ".join(sorted(missing | {name.removesuffix(f"-{kernel}-di") for name in missing}))
    fields = {"Kernel-Version": kernel, **({"Provides": provided} if provided else {})}
    return make_udeb(f"test-modules-{kernel}-di", "1", apt.release.arch, folder / "modules", made, fields)


def _e2fsprogs_udeb(apt: Apt, listed: Stanza, folder: Path, made: Path) -> Path:
    names = ("e2fsprogs", "libext2fs2t64", "libcom-err2", "libss2")
    files_tree(apt.download(names, folder / "e2fsprogs"), folder / "e2fsprogs-tree")
    return make_udeb("e2fsprogs-udeb", listed["Version"], apt.release.arch, folder / "e2fsprogs-tree", made, {})


def _stand_in(release: Release, folder: Path, made: Path) -> Path:
    control = folder / "stand-in" / "DEBIAN"
    control.mkdir(parents=True)
    (control / "templates").write_text(STAND_IN_TEMPLATES)
    (control / "postinst").write_text(STAND_IN_POSTINST)
    (control / "postinst").chmod(0o755)
    return make_udeb(STAND_IN, STAND_IN_VERSION, release.arch, folder / "stand-in", made, {"Installer-Menu-Item": "4200"})
