"""A Debian kernel, unpacked: its image, its device trees and its modules, staged for an image with the indexes of depmod."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from initramfs.architectures import Architecture
from initramfs.cache import cached_folder, key_of, tree_digests
from initramfs.chroot import run_in_root
from initramfs.drivers import DriverGroup
from initramfs.errors import BuildError
from initramfs.kernel_modules import Module, ModuleTree, closure, module_bytes
from initramfs.mirrors import is_release
from initramfs.packages import Packages
from initramfs.private_apt import Package, PackageSet

DEPMOD_TIMEOUT_S = 300.0
STRIP_TIMEOUT_S = 300.0
# Only the compiler's own labels (-X): functions keep their names, so that an oops can be read.
STRIP_ARGV = ("strip", "--discard-locals", "--remove-section=.BTF")
# What kmod's modprobe reads (the .bin files and softdep), and busybox's (the others).
KMOD_INDEXES = ("modules.alias.bin", "modules.builtin.alias.bin", "modules.builtin.bin", "modules.dep.bin", "modules.softdep")
BUSYBOX_INDEXES = ("modules.alias", "modules.builtin", "modules.dep", "modules.softdep", "modules.symbols")


@dataclass(frozen=True)
class Kernel:
    """One kernel package, unpacked. `dtbs` is None where the architecture has none."""

    package: Package
    version: str
    image: Path
    modules: Path
    dtbs: Path | None


def fetch_kernel(packages: Packages, architecture: Architecture, wanted: str) -> Kernel:
    """The newest kernel of a metapackage, `linux-image-arm64`; of another release, `linux-image-arm64/trixie` or, for the
    architecture's own, `trixie`; or a kernel package's file, `./linux-image-6.12.9-arm64_6.12.9-1_arm64.deb`. Alone: its
    dependencies are for installed systems. Raises BuildError."""
    package = _kernel_package(packages, architecture, wanted)
    name = package.name
    root = packages.unpacked((package,))
    version = name.removeprefix("linux-image-").removesuffix("-unsigned")
    dtbs = root / "usr" / "lib" / f"linux-image-{version}" if architecture.has_dtbs else None
    image = root / "boot" / f"{architecture.kernel_file}-{version}"
    kernel = Kernel(package, version, image, root / "lib" / "modules" / version, dtbs)
    for path in (kernel.image, kernel.modules, kernel.dtbs):
        if path is not None and not path.exists():
            raise BuildError(f"the package {name} has no {path.relative_to(root)}", "is it a kernel package of Debian?")
    return kernel


def _kernel_package(packages: Packages, architecture: Architecture, wanted: str) -> Package:
    if wanted.endswith(".deb"):
        return packages.from_file(Path(wanted))
    metapackage, _, release = (f"{architecture.kernel_package}/{wanted}" if is_release(wanted) else wanted).partition("/")
    if not metapackage.startswith("linux-image-"):
        raise BuildError(
            f"{wanted!r} is no kernel",
            f"name a Debian release (trixie), a package ({architecture.kernel_package}/trixie), or the file of one (.deb)",
        )
    archive = packages.of_release(release) if release else packages
    (package,) = archive.resolve(PackageSet(alone=(archive.newest_version_of(metapackage, "linux-image-"),)))
    return package


def chosen_modules(tree: ModuleTree, groups: tuple[DriverGroup, ...]) -> list[Module]:
    """The modules of these groups that the kernel has, and all that they need."""
    return closure(tree, tree.matching(name for group in groups for name in group.modules.split()))


def staged_modules(kernel: Kernel, groups: tuple[DriverGroup, ...], architecture: Architecture, root: Path) -> Path:
    """A folder that looks like /lib/modules: the chosen modules and depmod's indexes for them.

    depmod is the one of `root`, so that the bytes do not depend on this machine's.
    """
    here = Path(__file__).parent
    code = tree_digests(here, ("kernel.py", "kernel_modules.py", "elf.py"))
    key = key_of(
        [kernel.package.sha256, root.name, architecture.strip_modules, [(group.name, group.modules) for group in groups], code]
    )

    def make(folder: Path) -> None:
        work = folder / "work"
        tree = ModuleTree(kernel.modules)
        staged = work / "lib" / "modules" / kernel.version
        staged.mkdir(parents=True)
        for module in chosen_modules(tree, groups):
            target = staged / module.path.removesuffix(".xz")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(module_bytes(kernel.modules / module.path))
        for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            shutil.copy(kernel.modules / name, staged / name)
        argv = ["/sbin/depmod", "--basedir", "/work", kernel.version]
        run_in_root(architecture, root, argv, work=work, timeout_s=DEPMOD_TIMEOUT_S)
        if architecture.strip_modules:
            files = [f"/work/{path.relative_to(work)}" for path in sorted(staged.rglob("*.ko"))]
            run_in_root(architecture, root, [*STRIP_ARGV, *files], work=work, timeout_s=STRIP_TIMEOUT_S)
        staged.rename(folder / kernel.version)
        shutil.rmtree(work)

    return cached_folder("modules", key, make)
