"""`scripts/build-rootfs`: makes one root file system and prints where it lies and what it weighs."""

import argparse
import shutil
import sys
from pathlib import Path

from initramfs.architectures import ARCHITECTURES
from initramfs.cache import cache_place
from initramfs.errors import BuildError
from initramfs.mirrors import MIRROR_SETTING
from scripts.rootfs.build import Rootfs, build_rootfs
from scripts.rootfs.description import built_in_names

MB = 1_000_000


def main() -> int:
    """The exit code: 0, 1 for a build that failed, 2 for wrong arguments."""
    arguments = argument_parser().parse_args()
    try:
        built = build_rootfs(arguments.description, arguments.arch, refresh=arguments.refresh)
        archive = copied(built, arguments.output) if arguments.output else built.archive
    except BuildError as error:
        print(f"build-rootfs: {error}", file=sys.stderr)
        return 1
    print(f"{built.name} {built.arch}: {len(built.packages)} packages of {built.release}, kernel {built.kernel_version}")
    print(
        f"{built.size_bytes / MB:.1f} MB, unpacked {built.unpacked_bytes / MB:.1f} MB, for disks from {built.min_disk_mib} MiB"
    )
    print(f"sha256 {built.sha256}")
    print(archive)
    return 0


def argument_parser() -> argparse.ArgumentParser:
    """The command line; tests read it too."""
    parser = argparse.ArgumentParser(
        prog="build-rootfs",
        description="Make a root file system for the image installer: a Debian as a short TOML file describes it.",
        epilog=(
            f"Debian packages come from the archive that this machine's apt uses, or from {MIRROR_SETTING}. What is made is "
            f"kept in {cache_place()}: a second build needs no network. A whole Debian of a foreign architecture takes a "
            "quarter of an hour."
        ),
    )
    known = ", ".join(built_in_names())
    parser.add_argument("description", metavar="NAME|FILE.toml", help=f"a description that comes along ({known}), or your own")
    parser.add_argument("arch", choices=list(ARCHITECTURES), help="Debian's name of the architecture")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="copy the archive, and its facts as JSON, there")
    parser.add_argument("--refresh", action="store_true", help="ask the mirror for newer packages")
    return parser


def copied(built: Rootfs, folder: Path) -> Path:
    """A copy of the archive in `folder`, with its facts beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{built.name}-{built.arch}.json").write_text(built.to_json(), encoding="utf-8")
    return Path(shutil.copyfile(built.archive, folder / built.archive.name))


if __name__ == "__main__":
    sys.exit(main())
