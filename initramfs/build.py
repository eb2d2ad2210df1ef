"""Builds the loader (kernel and initramfs) and the RAM workload, each from the cache if nothing it is made of has changed."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from initramfs import loader, workload
from initramfs.archive import PartSize
from initramfs.cache import cached_folder, key_of
from initramfs.chroot import prepare_root
from initramfs.drivers import DRIVER_GROUPS
from initramfs.freeze import AGENT, freeze_key, frozen
from initramfs.image_folder import builder_digests, read_facts, try_in_image, write_with_facts
from initramfs.kernel import fetch_kernel, staged_modules
from initramfs.options import BuildOptions, architecture_named, chosen_groups, group_names
from initramfs.packages import Packages, built_unix_s
from initramfs.programs import STATIC_BUSYBOX, root_packages
from initramfs.ram_systems import RamSystem, build_installer, build_rescue

__all__ = [
    "BuildOptions",
    "Loader",
    "RamSystem",
    "Workload",
    "architecture_named",
    "build_installer",
    "build_loader",
    "build_rescue",
    "build_workload",
    "chosen_groups",
]


@dataclass(frozen=True)
class Loader:
    """What goes on a card. The files belong to the cache: copy them, do not change them."""

    arch: str
    build_id: str
    kernel: Path
    initramfs: Path
    dtbs: Path | None
    kernel_version: str
    unpacked_bytes: int
    sizes: tuple[PartSize, ...]


@dataclass(frozen=True)
class Workload:
    """The RAM workload. `dtb` is None: the simulated machines hand their own device tree on."""

    arch: str
    build_id: str
    kernel: Path
    initrd: Path
    initrd_unpacked_bytes: int
    dtb: Path | None
    kernel_version: str
    sizes: tuple[PartSize, ...]


def build_loader(arch: str, options: BuildOptions | None = None) -> Loader:
    """The loader for a Debian architecture (amd64, arm64, armhf, riscv64).

    Raises:
        BuildError: a step failed; what was made before stays in the cache.
    """
    options = options or BuildOptions()
    architecture = architecture_named(arch)
    groups = chosen_groups(options.groups)
    packages = Packages(architecture, options.progress, refresh=options.refresh)
    kernel = fetch_kernel(packages, architecture, options.kernel or architecture.kernel_package)
    programs = packages.resolve(root_packages(architecture))
    build_id = key_of(
        [freeze_key(AGENT, architecture, programs), kernel.package.sha256, group_names(groups), builder_digests("loader")]
    )

    def make(folder: Path) -> None:
        root = packages.unpacked(programs, prepare_root)
        # Freezing keeps one CPU busy for a minute where programs are emulated; the modules need the other one for a while.
        with ThreadPoolExecutor(1) as pool:
            staging = pool.submit(staged_modules, kernel, groups, architecture, root)
            agent = frozen(AGENT, architecture, programs, root, options.progress)
            modules = staging.result()
        facts = loader.BuildFacts(build_id, arch, built_unix_s((*programs, kernel.package)))
        layout = loader.loader_layout(architecture, root, agent, kernel, modules, facts)
        with options.progress.step(f"trying the frozen agent for {arch}"):
            try_in_image(architecture, layout, [f"/opt/bootpilot/{AGENT.name}", "--self-test"])
        with options.progress.step(f"compressing the {arch} initramfs"):
            write_with_facts(folder, "initramfs.zst", layout, loader.LAST_PART, facts.built_unix_s)

    folder = cached_folder("loaders", build_id, make)
    raw_bytes, sizes = read_facts(folder)
    return Loader(arch, build_id, kernel.image, folder / "initramfs.zst", kernel.dtbs, kernel.version, raw_bytes, sizes)


def build_workload(arch: str, options: BuildOptions | None = None) -> Workload:
    """The RAM workload for a Debian architecture: the same kernel, and an initrd that serves a page.

    Raises:
        BuildError: a step failed; what was made before stays in the cache.
    """
    options = options or BuildOptions()
    architecture = architecture_named(arch)
    groups = tuple(group for group in DRIVER_GROUPS if group.workload)
    packages = Packages(architecture, options.progress, refresh=options.refresh)
    kernel = fetch_kernel(packages, architecture, options.kernel or architecture.kernel_package)
    programs = packages.resolve(root_packages(architecture))
    busybox = packages.resolve(STATIC_BUSYBOX)
    inputs = (*programs, *busybox, kernel.package)
    build_id = key_of([arch, [package.sha256 for package in inputs], group_names(groups), builder_digests("workload")])

    def make(folder: Path) -> None:
        modules = staged_modules(kernel, groups, architecture, packages.unpacked(programs, prepare_root))
        layout = workload.workload_layout(packages.unpacked(busybox), kernel, modules)
        with options.progress.step(f"compressing the {arch} workload"):
            write_with_facts(folder, "initrd.zst", layout, workload.LAST_PART, built_unix_s(inputs))

    folder = cached_folder("workloads", build_id, make)
    raw_bytes, sizes = read_facts(folder)
    return Workload(arch, build_id, kernel.image, folder / "initrd.zst", raw_bytes, None, kernel.version, sizes)
