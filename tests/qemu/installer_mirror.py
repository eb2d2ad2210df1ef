"""A Debian archive on this machine's disk, small enough for one installation: what apt can fetch, and the installer's own
components that the archive in reach lists and does not have, made of the ordinary packages of the same version.

Everything comes through apt. The archive is not signed; the installer is told so (debian-installer/allow_unauthenticated).
"""

import gzip
import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from initramfs.mirrors import sources_list
from initramfs.private_apt import apt_configuration, host_acquire_settings, host_suites

TIMEOUT_S = 1800
Stanza = dict[str, str]

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
class Release:
    """One release for one architecture; `number` is Debian's."""

    name: str
    arch: str


@dataclass
class Archive:
    """A folder that becomes an archive: files in pool/, their stanzas by component."""

    root: Path
    release: Release
    stanzas: dict[str, list[Stanza]] = field(default_factory=lambda: {"main": [], "main/debian-installer": []})

    def add(self, file: Path, component: str, more: Mapping[str, str] = {}) -> None:
        """Take a package in, with its control fields."""
        place = self.root / "pool" / file.name.replace("%3a", "_")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
        raw = place.read_bytes()
        control = parse_stanzas(run("dpkg-deb", "--field", str(file)))[0]
        self.stanzas[component].append(
            {
                **control,
                **more,
                "Filename": f"pool/{place.name}",
                "Size": str(len(raw)),
                "MD5sum": hashlib.md5(raw, usedforsecurity=False).hexdigest(),
                "SHA256": hashlib.sha256(raw).hexdigest(),
            }
        )

    def write_indexes(self) -> None:
        dists = self.root / "dists" / self.release.name
        for component, stanzas in self.stanzas.items():
            folder = dists / component / f"binary-{self.release.arch}"
            folder.mkdir(parents=True)
            text = "\n".join(to_text(stanza) for stanza in stanzas).encode()
            (folder / "Packages").write_bytes(text)
            # choose-mirror asks for this one to see whether the architecture is there.
            (folder / "Release").write_text(f"Archive: {self.release.name}\nArchitecture: {self.release.arch}\n")
            (folder / "Packages.gz").write_bytes(gzip.compress(text, mtime=0))
        lines = [
            *("Origin: Debian", "Label: Debian", f"Suite: {self.release.name}", f"Codename: {self.release.name}"),
            *("Date: Sat, 01 Jan 2028 00:00:00 UTC", f"Architectures: {self.release.arch}", "Components: main", "SHA256:"),
        ]
        files = [path for path in sorted(dists.rglob("*")) if path.is_file()]
        lines += [
            f" {hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_size} {path.relative_to(dists)}"
            for path in files
        ]
        (dists / "Release").write_text("\n".join(lines) + "\n")


class Apt:
    """apt with lists of its own that know the installer's components too."""

    def __init__(self, release: Release, folder: Path) -> None:
        self.release = release
        self._folder = folder
        for name in ("lists/partial", "archives/partial", "etc/apt.conf.d", "etc/preferences.d"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        (folder / "apt.conf").write_text(apt_configuration(folder, release.arch, host_acquire_settings()))
        text = sources_list(host_suites(release.name)[:1])
        (folder / "sources.list").write_text(re.sub(r" main$", " main main/debian-installer", text, flags=re.MULTILINE))
        self("apt-get", "update", "-o", "APT::Update::Error-Mode=any")

    def __call__(self, *argv: str, cwd: Path | None = None, check: bool = True) -> str:
        return run(*argv, cwd=cwd, check=check, apt_config=self._folder / "apt.conf")

    def components(self) -> dict[str, Stanza]:
        """The installer's components, by name."""
        index = self("apt-get", "indextargets", "--format", "$(FILENAME)", "Component: main/debian-installer")
        text = self("/usr/lib/apt/apt-helper", "cat-file", index.split()[0])
        return {stanza["Package"]: stanza for stanza in parse_stanzas(text)}

    def download(self, names: Iterable[str], folder: Path) -> list[Path]:
        """Each once; what the archive lists and does not have is not among what comes back."""
        folder.mkdir(exist_ok=True)
        self("apt-get", "download", *sorted(names), cwd=folder, check=False)
        return sorted(path for path in folder.iterdir() if path.suffix in (".deb", ".udeb"))

    def download_system(self, names: Iterable[str]) -> list[Path]:
        """Packages with all that they depend on, for a system that has nothing yet."""
        self("apt-get", "install", "-y", "--no-install-recommends", "--download-only", *names)
        return sorted((self._folder / "archives").glob("*.deb"))

    def base_system(self) -> list[str]:
        """What debootstrap installs: everything required or important."""
        text = self("apt-cache", "dumpavail")
        of_base = [item for item in parse_stanzas(text) if item.get("Priority") in ("required", "important")]
        return sorted({item["Package"] for item in of_base if item.get("Section") != "debian-installer"})


def wanted_components(known: Mapping[str, Stanza], installed: str, kernel: str) -> set[str]:
    """Names of the components that an installation loads: the standard ones with their dependencies, without LEFT_OUT.
    `installed` is the dpkg status in the initrd.
    """
    present = {item["Package"] for item in parse_stanzas(installed)}
    present |= {name for item in parse_stanzas(installed) for name in names_in(item.get("Provides", ""))}
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


def names_in(relation: str) -> list[str]:
    """The names of a Depends or Provides; of alternatives the first."""
    return [re.split(r"[\s(|:]", part.strip())[0] for part in relation.split(",") if part.strip()]


def parse_stanzas(text: str) -> list[Stanza]:
    """Stanzas of deb822; what goes on over several lines keeps its line ends."""
    found = []
    for paragraph in re.split(r"\n\n+", text.strip()):
        stanza: Stanza = {}
        key = ""
        for line in paragraph.split("\n"):
            if line[:1].isspace():
                stanza[key] += "\n" + line
            elif ":" in line:
                key, _, value = line.partition(":")
                stanza[key] = value.strip()
        found.append(stanza)
    return [stanza for stanza in found if "Package" in stanza]


def to_text(stanza: Stanza) -> str:
    return "".join(f"{key}: {value}\n" for key, value in stanza.items())


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
STAND_IN = """\
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


@dataclass(frozen=True)
class Mirror:
    """`root` is what a web server serves. `is_whole`: the installer can go on to the end; else partman is a stand-in."""

    root: Path
    is_whole: bool


def make_mirror(release: Release, initrd: Path, folder: Path, packages: Iterable[str] = ()) -> Mirror:
    """For the installer in this initrd. With `packages`, all of a base system, a kernel and these, to be installed."""
    folder.mkdir(exist_ok=True)
    apt = Apt(release, folder / "apt")
    installed = run("sh", "-c", 'gzip -dc "$1" | cpio --quiet -i --to-stdout var/lib/dpkg/status', "sh", str(initrd))
    kernel = next(item["Package"] for item in parse_stanzas(installed) if item["Package"].startswith("kernel-image-"))
    kernel = kernel.removeprefix("kernel-image-").removesuffix("-di")
    known = apt.components()
    wanted = wanted_components(known, installed, kernel)
    found = apt.download([f"{name}:{release.arch}" for name in wanted], folder / "components")
    missing = wanted - {path.name.partition("_")[0] for path in found}
    archive = Archive(folder / "mirror", release)
    made = folder / "made"
    made.mkdir()
    modules = {name for name in missing if "-modules-" in name}
    archive.add(_modules_udeb(apt, kernel, modules, folder, made), "main/debian-installer")
    if "e2fsprogs-udeb" in missing:
        archive.add(_e2fsprogs_udeb(apt, known["e2fsprogs-udeb"], folder, made), "main/debian-installer")
    is_whole = not missing - modules - {"e2fsprogs-udeb"}
    for path in found if is_whole else [_stand_in(release, folder, made)]:
        archive.add(path, "main/debian-installer")
    for path in apt.download_system([*apt.base_system(), *packages]) if packages else ():
        archive.add(path, "main")
    archive.write_indexes()
    return Mirror(archive.root, is_whole)


def _modules_udeb(apt: Apt, kernel: str, missing: set[str], folder: Path, made: Path) -> Path:
    (image,) = apt.download([f"linux-image-{kernel}:{apt.release.arch}"], folder / "image")
    module_tree(image, folder / "modules", kernel)
    provided = ", ".join(sorted(missing | {name.removesuffix(f"-{kernel}-di") for name in missing}))
    fields = {"Kernel-Version": kernel, **({"Provides": provided} if provided else {})}
    return make_udeb(f"test-modules-{kernel}-di", "1", apt.release.arch, folder / "modules", made, fields)


def _e2fsprogs_udeb(apt: Apt, listed: Stanza, folder: Path, made: Path) -> Path:
    names = ("e2fsprogs", "libext2fs2t64", "libcom-err2", "libss2")
    files_tree(apt.download([f"{name}:{apt.release.arch}" for name in names], folder / "e2fsprogs"), folder / "e2fsprogs-tree")
    return make_udeb("e2fsprogs-udeb", listed["Version"], apt.release.arch, folder / "e2fsprogs-tree", made, {})


def _stand_in(release: Release, folder: Path, made: Path) -> Path:
    control = folder / "stand-in" / "DEBIAN"
    control.mkdir(parents=True)
    (control / "templates").write_text(STAND_IN_TEMPLATES)
    (control / "postinst").write_text(STAND_IN)
    (control / "postinst").chmod(0o755)
    return make_udeb("partman-base", "999", release.arch, folder / "stand-in", made, {"Installer-Menu-Item": "4200"})


def run(*argv: str, cwd: Path | None = None, check: bool = True, apt_config: Path | None = None) -> str:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"} | (
        {"APT_CONFIG": str(apt_config)} if apt_config else {}
    )
    done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)
    if check and done.returncode:
        raise AssertionError(f"{argv}: exit code {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout
