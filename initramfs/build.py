"""Builds the loader, kernel and initramfs, from the cache if nothing it is made of has changed. For other scripts also the door
to what a loader starts (ram_systems.py)."""

from dataclasses import dataclass
from pathlib import Path

from initramfs.archive import PartSize
from initramfs.basis import basis_of
from initramfs.cache import cached_folder
from initramfs.freeze import AGENT
from initramfs.image_folder import read_facts, try_in_image, write_with_facts
from initramfs.image_layout import BuildFacts
from initramfs.loader import LAST_PART, PROGRAM, loader_layout
from initramfs.options import BuildOptions
from initramfs.programs import root_packages
from initramfs.ram_systems import RamSystem, build_installer, build_rescue, build_workload

__all__ = ["BuildOptions", "Loader", "RamSystem", "build_installer", "build_loader", "build_rescue", "build_workload"]

IMAGE = "initramfs.zst"


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


def build_loader(arch: str, options: BuildOptions | None = None) -> Loader:
    """The loader for a Debian architecture (amd64, arm64, armhf, riscv64).

    Raises:
        BuildError: a step failed; what was made before stays in the cache.
    """
    basis = basis_of(arch, options, root_packages)
    kernel = basis.kernel
    build_id = basis.build_id("loader", basis.freeze_key(AGENT))

    def make(folder: Path) -> None:
        agent, modules = basis.frozen_and_modules(AGENT)
        facts = BuildFacts(build_id, arch, basis.built_unix_s())
        layout = loader_layout(basis.architecture, basis.root(), agent, kernel, modules, facts)
        with basis.progress.step(f"trying the frozen agent for {arch}"):
            try_in_image(basis.architecture, layout, [PROGRAM, "--self-test"])
        with basis.progress.step(f"compressing the {arch} initramfs"):
            write_with_facts(folder, IMAGE, layout, LAST_PART, facts.built_unix_s)

    folder = cached_folder("loaders", build_id, make)
    raw_bytes, sizes = read_facts(folder)
    return Loader(arch, build_id, kernel.image, folder / IMAGE, kernel.dtbs, kernel.version, raw_bytes, sizes)
