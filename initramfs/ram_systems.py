"""Builds what a loader starts: the RAM workload, the installer, the rescue system. From the cache if nothing has changed."""

from dataclasses import dataclass
from pathlib import Path

from initramfs import installer, rescue, workload
from initramfs.archive import PartSize
from initramfs.basis import Basis, basis_of
from initramfs.cache import cached_folder, file_sha256
from initramfs.drivers import DRIVER_GROUPS
from initramfs.freeze import INSTALLER
from initramfs.image_folder import read_facts, try_in_image, write_with_facts
from initramfs.image_layout import BuildFacts
from initramfs.options import BuildOptions
from initramfs.programs import STATIC_BUSYBOX, root_packages
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


def build_workload(arch: str, options: BuildOptions | None = None) -> RamSystem:
    """The RAM workload for a Debian architecture: the loader's kernel, and an initrd that serves a page.

    Raises:
        BuildError: a step failed; what was made before stays in the cache.
    """
    # The packages of the loader's root have depmod; none of their programs go into the image.
    basis = basis_of(arch, options, root_packages, tuple(group for group in DRIVER_GROUPS if group.workload))
    busybox = basis.packages.resolve(STATIC_BUSYBOX)
    build_id = basis.build_id("workload", [package.sha256 for package in busybox])

    def make(folder: Path) -> None:
        modules = basis.modules()
        layout = workload.workload_layout(basis.packages.unpacked(busybox), basis.kernel, modules)
        with basis.progress.step(f"compressing the {arch} workload"):
            write_with_facts(folder, IMAGE, layout, workload.LAST_PART, basis.built_unix_s(*busybox))

    return _ram_system(basis, build_id, cached_folder("workloads", build_id, make))


def build_installer(arch: str, options: BuildOptions | None = None) -> RamSystem:
    """The image installer for a Debian architecture: the loader's kernel and drivers, and `bootpilot-install`.

    Raises:
        BuildError: a step failed; what was made before stays in the cache.
    """
    basis = basis_of(arch, options, installer_packages)
    build_id = basis.build_id("installer", basis.freeze_key(INSTALLER))

    def make(folder: Path) -> None:
        program, modules = basis.frozen_and_modules(INSTALLER)
        facts = BuildFacts(build_id, arch, basis.built_unix_s())
        layout = installer.installer_layout(basis.architecture, basis.root(), program, basis.kernel, modules, facts)
        with basis.progress.step(f"trying the frozen installer for {arch}"):
            try_in_image(basis.architecture, layout, [installer.PROGRAM, "--self-test"])
        with basis.progress.step(f"compressing the {arch} installer"):
            write_with_facts(folder, IMAGE, layout, installer.LAST_PART, facts.built_unix_s)

    return _ram_system(basis, build_id, cached_folder("installers", build_id, make))


def build_rescue(arch: str, options: BuildOptions | None = None) -> RamSystem:
    """The rescue system for a Debian architecture: the loader's kernel and drivers, SSH, and programs to look at disks with.

    Raises:
        BuildError: a step failed; what was made before stays in the cache.
    """
    basis = basis_of(arch, options, rescue_packages)
    build_id = basis.build_id("rescue", file_sha256(LOCK))

    def make(folder: Path) -> None:
        certificates = site_folder(basis.architecture, basis.progress) / "certifi/cacert.pem"
        facts = BuildFacts(build_id, arch, basis.built_unix_s())
        layout = rescue.rescue_layout(basis.architecture, basis.root(), certificates, basis.kernel, basis.modules(), facts)
        with basis.progress.step(f"trying the programs of the {arch} rescue system"):
            try_in_image(basis.architecture, layout, ["/bin/sh", "-c", rescue.SELF_TEST])
        with basis.progress.step(f"compressing the {arch} rescue system"):
            write_with_facts(folder, IMAGE, layout, rescue.LAST_PART, facts.built_unix_s)

    return _ram_system(basis, build_id, cached_folder("rescues", build_id, make))


def _ram_system(basis: Basis, build_id: str, folder: Path) -> RamSystem:
    kernel = basis.kernel
    raw_bytes, sizes = read_facts(folder)
    return RamSystem(basis.architecture.name, build_id, kernel.image, folder / IMAGE, raw_bytes, kernel.version, sizes)
