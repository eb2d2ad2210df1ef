"""`scripts/build-initramfs`: builds one image, a loader or what a loader starts, and prints where it is and what it weighs."""

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from initramfs.architectures import ARCHITECTURES
from initramfs.build import (
    BuildOptions,
    Loader,
    RamSystem,
    build_installer,
    build_loader,
    build_rescue,
    build_workload,
)
from initramfs.cache import cache_place
from initramfs.drivers import DRIVER_GROUPS
from initramfs.errors import BuildError
from initramfs.mirrors import MIRROR_SETTING
from initramfs.sizes import size_table

BUILDERS: dict[str, Callable[[str, BuildOptions], Loader | RamSystem]] = {
    "loader": build_loader,
    "workload": build_workload,
    "installer": build_installer,
    "rescue": build_rescue,
}


def main() -> int:
    """The exit code: 0, 1 for a build that failed, 2 for wrong arguments."""
    arguments = argument_parser().parse_args()
    options = BuildOptions(refresh=arguments.refresh, groups=tuple(arguments.drivers), kernel=arguments.kernel)
    try:
        built = BUILDERS[arguments.image](arguments.arch, options)
        files = output_files(built)
        if arguments.output:
            files = copied(files, arguments.output)
            if isinstance(built, Loader):
                files["loader"] = write_facts(built, arguments.output / "loader.json")
    except BuildError as error:
        print(f"build-initramfs: {error}", file=sys.stderr)
        return 1
    print(size_table(f"{built.arch} {arguments.image}", built.sizes))
    print(f"build id {built.build_id}, kernel {built.kernel_version}")
    for name, path in files.items():
        print(f"{name:<10} {path}")
    return 0


def argument_parser() -> argparse.ArgumentParser:
    """The command line; tests read it too."""
    parser = argparse.ArgumentParser(
        prog="build-initramfs",
        description="Build the loader that stands on a card (kernel and initramfs with the frozen agent), or what it starts.",
        epilog=(
            f"Debian packages come from the archive that this machine's apt uses, or from {MIRROR_SETTING}. What is made is "
            f"kept in {cache_place()}: a second build needs no network. Needs no root privileges."
        ),
    )
    optional = [group.name for group in DRIVER_GROUPS if not group.standard]
    parser.add_argument("arch", choices=list(ARCHITECTURES), help="Debian's name of the architecture")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="copy the files into this folder")
    images = parser.add_mutually_exclusive_group()
    for name, what in (
        ("workload", "the RAM workload, which serves a page about its board"),
        ("installer", "the image installer, which writes a system to a board's disk"),
        ("rescue", "the rescue system: SSH, programs to look at disks with, no disk mounted"),
    ):
        images.add_argument(f"--{name}", dest="image", action="store_const", const=name, help=f"build {what}")
    parser.set_defaults(image="loader")
    parser.add_argument("--drivers", action="append", default=[], choices=optional, help="add a group of drivers (repeatable)")
    parser.add_argument(
        "--kernel",
        default="",
        metavar="KERNEL",
        help="another Debian kernel: of another release (trixie), by package (linux-image-armmp/trixie), or the path of a .deb",
    )
    parser.add_argument("--refresh", action="store_true", help="ask the mirror for newer packages")
    return parser


def output_files(built: Loader | RamSystem) -> dict[str, Path]:
    """What was built, under the names that the files get in an output folder."""
    if not isinstance(built, Loader):
        return {"vmlinuz": built.kernel, "initrd.zst": built.initrd}
    files = {"vmlinuz": built.kernel, "initramfs.zst": built.initramfs}
    return files | ({"dtbs": built.dtbs} if built.dtbs else {})


def copied(files: dict[str, Path], folder: Path) -> dict[str, Path]:
    """Copies of the files (and folders) in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in files.items():
        if path.is_dir():
            shutil.copytree(path, folder / name, dirs_exist_ok=True)
        else:
            shutil.copyfile(path, folder / name)
    return {name: folder / name for name in files}


def write_facts(loader: Loader, path: Path) -> Path:
    """What `bootpilot loader add` has to know of the loader beside it."""
    facts = {
        "arch": loader.arch,
        "build_id": loader.build_id,
        "kernel_version": loader.kernel_version,
        "unpacked_bytes": loader.unpacked_bytes,
    }
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.exit(main())
