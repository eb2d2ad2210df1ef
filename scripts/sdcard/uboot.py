"""Builds U-Boot from Debian's source package with Debian's cross compiler, once: the result stays in the cache.

For boards that Debian packages no U-Boot for. The result is keyed by source, configuration and compiler.
"""

import dataclasses
import os
import shutil
import tempfile
from pathlib import Path

from initramfs.architectures import ARCHITECTURES
from initramfs.cache import cached_folder, file_sha256, key_of
from initramfs.command import run
from initramfs.mirrors import Suite
from initramfs.packages import Packages
from initramfs.private_apt import host_suites
from initramfs.progress import Progress
from scripts.sdcard.board import UBootBuild

ADDED_FILES = Path(__file__).parent / "u-boot"
SOURCE_PACKAGE = "u-boot"
# What a board may need of a build: the ELF file and its plain image, SPL and U-Boot in one file, and how it was configured.
RESULTS = ("u-boot", "u-boot.bin", "u-boot-sunxi-with-spl.bin", ".config")
UNPACK_TIMEOUT_S = 300.0
BUILD_TIMEOUT_S = 3600.0
# Changes with the way of building, so that nothing built another way is taken for the same.
RECIPE = 1


def built_u_boot(build: UBootBuild, progress: Progress) -> Path:
    """The folder with what `build` makes. Raises BuildError."""
    architecture = ARCHITECTURES["armhf"]
    source = Packages(architecture, progress, suites=_source_suites).source(SOURCE_PACKAGE)
    compiler = run([f"{build.cross_compile}gcc", "--version"], timeout_s=60).splitlines()[0]
    settings = [setting.line for setting in build.settings]
    added = [file_sha256(ADDED_FILES / name) for name, _ in build.added]
    key = key_of([RECIPE, source.name, build.config, settings, added, compiler])

    def make(folder: Path) -> None:
        with (
            progress.step(f"building U-Boot for {build.config.removesuffix('_defconfig')}"),
            tempfile.TemporaryDirectory() as work,
        ):
            _build(source, build, Path(work), folder)

    return cached_folder("u-boot", key, make)


def _build(source: Path, build: UBootBuild, work: Path, folder: Path) -> None:
    tree, output = work / "source", work / "output"
    (description,) = source.glob("*.dsc")
    # apt has checked every file against the signed index, so the uploader's own signature adds nothing.
    run(["dpkg-source", "--no-check", "-x", description, tree], timeout_s=UNPACK_TIMEOUT_S)
    for name, place in build.added:
        shutil.copy(ADDED_FILES / name, tree / place / name)
        with (tree / place / "Makefile").open("a") as makefile:
            makefile.write(f"\nobj-y += {Path(name).stem}.o\n")
    time_s = run(["dpkg-parsechangelog", "-l", tree / "debian/changelog", "-S", "Timestamp"], timeout_s=60).strip()
    environment = {"SOURCE_DATE_EPOCH": time_s, "KCFLAGS": f"-ffile-prefix-map={tree}=. -ffile-prefix-map={output}=."}
    make: list[str | Path] = [
        "make",
        "-s",
        f"-j{os.cpu_count() or 1}",
        "-C",
        tree,
        f"O={output}",
        f"CROSS_COMPILE={build.cross_compile}",
    ]
    hint = "the packages that U-Boot needs are in scripts/packages.txt"
    run([*make, build.config], timeout_s=BUILD_TIMEOUT_S, environment=environment, hint=hint)
    with (output / ".config").open("a") as config:
        config.writelines(f"{setting.line}\n" for setting in build.settings)
    for target in ("olddefconfig", "all"):
        run([*make, target], timeout_s=BUILD_TIMEOUT_S, environment=environment, hint=hint)
    for name in RESULTS:
        if (output / name).is_file():
            shutil.copy(output / name, folder / name)


def _source_suites(release: str) -> tuple[Suite, ...]:
    return tuple(dataclasses.replace(suite, kind="deb-src") for suite in host_suites(release))
