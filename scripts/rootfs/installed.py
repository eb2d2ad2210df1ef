"""A whole Debian as a recipe: which packages, and what goes into it besides them."""

from pathlib import Path

from initramfs.architectures import Architecture
from initramfs.cache import tree_digests
from initramfs.packages import Packages
from initramfs.private_apt import PackageSet, host_suites
from initramfs.progress import Progress
from scripts.rootfs.bootstrap import Source, install
from scripts.rootfs.description import Description
from scripts.rootfs.early_drivers import initramfs_settings
from scripts.rootfs.overlay_archive import OverlayFile
from scripts.rootfs.recipe import Recipe

HERE = Path(__file__).parent
# The installer puts the same file into any system that has initramfs-tools; here the first initrd has it already.
KEEP_NOTE = HERE.parents[1] / "agent/bootpilot_install/files/initramfs-bootpilot"
# What makes the bytes, besides the packages: a change of anything else is no reason for a quarter of an hour's work.
CODE = ("bootstrap.py", "customising.py", "in_namespace.sh", "local_archive.py", "overlay_archive.py", "tar_archive.py")
# apt's pattern for what every Debian has.
ESSENTIAL = "?essential"


def installed_recipe(described: Description, architecture: Architecture, packages: Packages, progress: Progress) -> Recipe:
    """Raises BuildError where a package is unknown or cannot be fetched."""
    release = architecture.release.name
    names = (*described.packages, architecture.kernel_package)
    resolved = packages.resolve(PackageSet(with_dependencies=(ESSENTIAL, *names)))
    suites = host_suites(release)
    files = (*initramfs_settings(described.drivers), keep_note()) if "initramfs-tools" in names else ()
    source = Source(release, resolved, names, suites)

    def make(work: Path) -> Path:
        return install(described, architecture, source, files, work, progress)

    shas = [package.sha256 for package in resolved]
    key = [shas, [vars(suite) for suite in suites], [str(file) for file in files], tree_digests(HERE, CODE)]
    return Recipe(resolved, key, make)


def keep_note() -> OverlayFile:
    """The script with which an initrd hands the agent's note of a boot on to the system."""
    return OverlayFile("etc/initramfs-tools/scripts/init-bottom/bootpilot", KEEP_NOTE.read_bytes(), executable=True)
