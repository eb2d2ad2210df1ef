"""Builds the RAM systems that a loader starts: the installer and the rescue system. From the cache if nothing has changed."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from initramfs import installer, rescue
from initramfs.archive import PartSize
from initramfs.cache import cached_folder, file_sha256, key_of
from initramfs.chroot import prepare_root
from initramfs.freeze import INSTALLER, freeze_key, frozen
from initramfs.image_folder import builder_digests, read_facts, try_in_image, write_with_facts
from initramfs.kernel import Kernel, fetch_kernel, staged_modules
from initramfs.loader import BuildFacts
from initramfs.options import BuildOptions, architecture_named, chosen_groups, group_names
from initramfs.packages import Packages, built_unix_s
from initramfs.ram_programs import installer_packages, rescue_packages
from initramfs.wheels import LOCK, site_folder

IMAGE = "initrd.zst"


@dataclass(frozen=True)
class RamSystem:
    """What a plan boots. The files belong to the cache: copy them, do not change them."""

    arch: str
    build_id: str
    kernel: Path
    initrd: Path
    initrd_unpacked_bytes: int
    kernel_version: str
    sizes: tuple[PartSize, ...]


def build_installer(arch: str, options: BuildOptions | None = None) -> RamSystem:
    """The image installer for a Debian architecture: the loader's kernel and drivers, and `bootpilot-install`.

    Raises:
        BuildError: a step failed; what was made before stays in the cache.
    """
    options = options or BuildOptions()
    architecture = architecture_named(arch)
    groups = chosen_groups(options.groups)
    packages = Packages(architecture, options.progress, refresh=options.refresh)
    kernel = fetch_kernel(packages, architecture, options.kernel or architecture.kernel_package)
    programs = packages.resolve(installer_packages(architecture))
    frozen_key = freeze_key(INSTALLER, architecture, programs)
    build_id = key_of([frozen_key, kernel.package.sha256, group_names(groups), builder_digests("installer")])

    def make(folder: Path) -> None:
        root = packages.unpacked(programs, prepare_root)
        with ThreadPoolExecutor(1) as pool:
            staging = pool.submit(staged_modules, kernel, groups, architecture, root)
            program = frozen(INSTALLER, architecture, programs, root, options.progress)
            modules = staging.result()
        facts = BuildFacts(build_id, arch, built_unix_s((*programs, kernel.package)))
        layout = installer.installer_layout(architecture, root, program, kernel, modules, facts)
        with options.progress.step(f"trying the frozen installer for {arch}"):
            try_in_image(architecture, layout, [installer.PROGRAM, "--self-test"])
        with options.progress.step(f"compressing the {arch} installer"):
            write_with_facts(folder, IMAGE, layout, installer.LAST_PART, facts.built_unix_s)

    return _ram_system(arch, build_id, kernel, cached_folder("installers", build_id, make))


def build_rescue(arch: str, options: BuildOptions | None = None) -> RamSystem:
    """The rescue system for a Debian architecture: the loader's kernel and drivers, SSH, and programs to look at disks with.

    Raises:
        BuildError: a step failed; what was made before stays in the cache.
    """
    options = options or BuildOptions()
    architecture = architecture_named(arch)
    groups = chosen_groups(options.groups)
    packages = Packages(architecture, options.progress, refresh=options.refresh)
    kernel = fetch_kernel(packages, architecture, options.kernel or architecture.kernel_package)
    programs = packages.resolve(rescue_packages(architecture))
    inputs = [*(package.sha256 for package in (*programs, kernel.package)), file_sha256(LOCK)]
    build_id = key_of([arch, inputs, group_names(groups), builder_digests("rescue")])

    def make(folder: Path) -> None:
        root = packages.unpacked(programs, prepare_root)
        modules = staged_modules(kernel, groups, architecture, root)
        certificates = site_folder(architecture, options.progress) / "certifi/cacert.pem"
        facts = BuildFacts(build_id, arch, built_unix_s((*programs, kernel.package)))
        layout = rescue.rescue_layout(architecture, root, certificates, kernel, modules, facts)
        with options.progress.step(f"trying the programs of the {arch} rescue system"):
            try_in_image(architecture, layout, ["/bin/sh", "-c", rescue.SELF_TEST])
        with options.progress.step(f"compressing the {arch} rescue system"):
            write_with_facts(folder, IMAGE, layout, rescue.LAST_PART, facts.built_unix_s)

    return _ram_system(arch, build_id, kernel, cached_folder("rescues", build_id, make))


def _ram_system(arch: str, build_id: str, kernel: Kernel, folder: Path) -> RamSystem:
    raw_bytes, sizes = read_facts(folder)
    return RamSystem(arch, build_id, kernel.image, folder / IMAGE, raw_bytes, kernel.version, sizes)
