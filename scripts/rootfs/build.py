"""Builds a root file system for one architecture, from the cache if nothing it is made of has changed."""

import json
import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from initramfs.architectures import Architecture
from initramfs.cache import cached_folder, file_sha256, key_of, tree_digests
from initramfs.errors import BuildError
from initramfs.options import architecture_named
from initramfs.packages import Packages
from initramfs.progress import Progress
from scripts.rootfs.description import Description, Method, read_description
from scripts.rootfs.installed import installed_recipe
from scripts.rootfs.tar_archive import compress, names_in
from scripts.rootfs.unpacked import unpacked_recipe

FACTS = "facts.json"


@dataclass(frozen=True)
class Rootfs:
    """One finished root file system. The archive belongs to the cache: copy it, do not change it.

    `unpacked_bytes` is the tar's own size, as a profile's unpacked_size and the installer count it.
    """

    name: str
    arch: str
    archive: Path
    sha256: str
    size_bytes: int
    unpacked_bytes: int
    min_disk_mib: int
    release: str
    kernel_version: str
    build_id: str
    packages: dict[str, str]

    def to_json(self) -> str:
        """The facts, as they lie beside a copy of the archive."""
        return json.dumps({**asdict(self), "archive": self.archive.name}, indent=1) + "\n"


def build_rootfs(wanted: str, arch: str, progress: Progress | None = None, *, refresh: bool = False) -> Rootfs:
    """The root file system of a description: a built-in one by name, any by its .toml file.

    Raises:
        BuildError: the description is wrong, or a step failed; what was made before stays in the cache.
    """
    progress = progress or Progress()
    described = read_description(wanted)
    architecture = _of_release(architecture_named(arch), described.release)
    recipe = (installed_recipe if described.method is Method.INSTALLED else unpacked_recipe)(
        described, architecture, Packages(architecture, progress, refresh=refresh), progress
    )
    build_id = key_of([arch, architecture.release.name, recipe.key, _description_key(described)])
    name = f"{described.name}-{arch}.tar.zst"

    def make(folder: Path) -> None:
        work = folder / "work"
        work.mkdir()
        with progress.step(f"making {described.name} for {arch} of {len(recipe.packages)} packages"):
            archive = recipe.make(work)
        with progress.step(f"compressing {name}"):
            kernel_version = bootable_version(names_in(archive))
            compress(archive, folder / name)
        facts = {
            "sha256": file_sha256(folder / name),
            "unpacked_bytes": archive.stat().st_size,
            "kernel_version": kernel_version,
        }
        (folder / FACTS).write_text(json.dumps(facts, indent=1))
        shutil.rmtree(work)

    folder = cached_folder("rootfs", build_id, make)
    archive = folder / name
    return Rootfs(
        name=described.name,
        arch=arch,
        archive=archive,
        size_bytes=archive.stat().st_size,
        min_disk_mib=described.min_disk_mib,
        release=architecture.release.name,
        build_id=build_id,
        packages={package.name: package.version for package in recipe.packages},
        **json.loads((folder / FACTS).read_text()),
    )


def bootable_version(names: Collection[str]) -> str:
    """The version of the kernel that an agent would start: one /boot/vmlinuz-VERSION with its initrd. Raises BuildError."""
    for name in sorted(names):
        prefix, found, version = name.partition("boot/vmlinu")
        if found and not prefix and f"boot/initrd.img-{version[2:]}" in names:
            return version[2:]
    raise BuildError("there is no kernel with an initrd in its /boot, so no board could start it")


def _of_release(architecture: Architecture, release: str) -> Architecture:
    return replace(architecture, release=replace(architecture.release, name=release)) if release else architecture


def _description_key(described: Description) -> object:
    overlays = [tree_digests(folder, ("**/*",)) for folder in described.overlays]
    fields = {name: value for name, value in asdict(described).items() if name != "overlays"}
    return [json.dumps(fields, default=str, sort_keys=True), overlays]
