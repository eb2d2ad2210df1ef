"""Builds the loader (kernel and initramfs) and the RAM workload, each from the cache if nothing it is made of has changed."""

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from initramfs import loader, workload
from initramfs.architectures import ARCHITECTURES, Architecture
from initramfs.archive import PartSize, measure_parts, write_image, write_tree
from initramfs.cache import cached_folder, key_of, tree_digests
from initramfs.chroot import prepare_root, run_in_root
from initramfs.drivers import DRIVER_GROUPS, DriverGroup
from initramfs.errors import BuildError
from initramfs.freeze import freeze_key, frozen_agent
from initramfs.kernel import fetch_kernel, staged_modules
from initramfs.layout import Layout
from initramfs.packages import Packages, built_unix_s
from initramfs.programs import STATIC_BUSYBOX, root_packages
from initramfs.progress import Progress

HERE = Path(__file__).parent
SELF_TEST_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class BuildOptions:
    """What a person may choose. `groups` are optional rows of drivers.py; `kernel` is another kernel metapackage."""

    refresh: bool = False
    groups: tuple[str, ...] = ()
    kernel: str = ""
    progress: Progress = field(default_factory=Progress, compare=False)


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
    build_id = key_of([freeze_key(architecture, programs), kernel.package.sha256, _names(groups), _builder_digests("workload")])

    def make(folder: Path) -> None:
        root = packages.unpacked(programs, prepare_root)
        # Freezing keeps one CPU busy for a minute where programs are emulated; the modules need the other one for a while.
        with ThreadPoolExecutor(1) as pool:
            staging = pool.submit(staged_modules, kernel, groups, architecture, root)
            agent = frozen_agent(architecture, programs, root, options.progress)
            modules = staging.result()
        facts = loader.BuildFacts(build_id, arch, built_unix_s((*programs, kernel.package)))
        layout = loader.loader_layout(architecture, root, agent, kernel, modules, facts)
        with options.progress.step(f"trying the frozen agent for {arch}"):
            _self_test(architecture, layout)
        with options.progress.step(f"compressing the {arch} initramfs"):
            _write_with_facts(folder, "initramfs.zst", layout, loader.LAST_PART, facts.built_unix_s)

    folder = cached_folder("loaders", build_id, make)
    raw_bytes, sizes = _read_facts(folder)
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
    build_id = key_of([arch, [package.sha256 for package in inputs], _names(groups), _builder_digests("overlay")])

    def make(folder: Path) -> None:
        modules = staged_modules(kernel, groups, architecture, packages.unpacked(programs, prepare_root))
        layout = workload.workload_layout(packages.unpacked(busybox), kernel, modules)
        with options.progress.step(f"compressing the {arch} workload"):
            _write_with_facts(folder, "initrd.zst", layout, workload.LAST_PART, built_unix_s(inputs))

    folder = cached_folder("workloads", build_id, make)
    raw_bytes, sizes = _read_facts(folder)
    return Workload(arch, build_id, kernel.image, folder / "initrd.zst", raw_bytes, None, kernel.version, sizes)


def architecture_named(name: str) -> Architecture:
    """Raises BuildError with the known names."""
    if name not in ARCHITECTURES:
        raise BuildError(f"unknown architecture {name!r}", f"known are {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def chosen_groups(names: tuple[str, ...]) -> tuple[DriverGroup, ...]:
    """The standard driver groups and those named. Raises BuildError with the names that there are."""
    optional = {group.name: group for group in DRIVER_GROUPS if not group.standard}
    unknown = [name for name in names if name not in optional]
    if unknown:
        raise BuildError(f"unknown driver group {unknown[0]!r}", f"optional groups are {', '.join(optional)}")
    return tuple(group for group in DRIVER_GROUPS if group.standard or group.name in names)


def _self_test(architecture: Architecture, layout: Layout) -> None:
    """Start the frozen agent in nothing but the image's own tree. Raises BuildError if something is missing that it needs."""
    with tempfile.TemporaryDirectory() as tree:
        write_tree(layout, Path(tree))
        run_in_root(architecture, Path(tree), ["/opt/bootpilot/bootpilot-agent", "--self-test"], timeout_s=SELF_TEST_TIMEOUT_S)


def _write_with_facts(folder: Path, name: str, layout: Layout, last_part: str, time_s: int) -> None:
    raw_bytes = write_image(layout, folder / name, time_s, last_part)
    sizes = [asdict(part) for part in measure_parts(layout, folder / name)]
    (folder / "facts.json").write_text(json.dumps({"unpacked_bytes": raw_bytes, "sizes": sizes}, indent=1))


def _read_facts(folder: Path) -> tuple[int, tuple[PartSize, ...]]:
    facts = json.loads((folder / "facts.json").read_text())
    return facts["unpacked_bytes"], tuple(PartSize(**part) for part in facts["sizes"])


def _names(groups: tuple[DriverGroup, ...]) -> list[str]:
    return [group.name for group in groups]


def _builder_digests(other_image: str) -> dict[str, str]:
    """The builder's own code and files, without those of the other image."""
    digests = tree_digests(HERE, ("*.py", "overlay/**/*", "workload/**/*"))
    return {name: digest for name, digest in digests.items() if not name.startswith(f"{other_image}/")}
