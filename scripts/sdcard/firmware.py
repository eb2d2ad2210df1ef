"""Where the firmware's files come from: Debian packages in the cache, U-Boot built there, or a folder of the user's."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from initramfs.architectures import ARCHITECTURES
from initramfs.mirrors import Suite
from initramfs.packages import Packages
from initramfs.private_apt import PackageSet, host_suites
from initramfs.progress import Progress
from scripts.sdcard.board import Board, DebianFirmware, FirmwareSource, UBootBuild
from scripts.sdcard.errors import CardError
from scripts.sdcard.uboot import built_u_boot


def firmware_files(board: Board, folder: Path | None = None, progress: Progress | None = None) -> dict[str, Path]:
    """The board's firmware files by name: those that lie in `folder`, which a person named, the others from the row's source.

    Raises:
        BuildError: Debian's package cannot be had, or U-Boot cannot be built.
        CardError: a file is in neither, or `folder` is none.
    """
    if folder is not None and not folder.is_dir():
        raise CardError(f"{folder} is no folder of firmware files")
    names = [piece.name for piece in board.firmware]
    given = {name: folder / name for name in names if folder and (folder / name).is_file()}
    missing = [name for name in names if name not in given]
    if missing and board.source is not None:
        given |= {name: source_file(board, board.source, name, progress) for name in missing}
    return given


def flash_file(board: Board, progress: Progress | None = None) -> Path | None:
    """The firmware that is not on the card but in the board's flash (QEMU gets it); None where the row has none.

    Raises:
        BuildError, CardError: as firmware_files.
    """
    return source_file(board, board.flash, board.flash_file, progress) if board.flash else None


def source_file(board: Board, source: FirmwareSource, name: str, progress: Progress | None = None) -> Path:
    """One file of a source. Raises BuildError, or CardError if the source has no such file."""
    progress = progress or Progress()
    if isinstance(source, UBootBuild):
        folder, where = built_u_boot(source, progress), f"U-Boot built for {source.config}"
    else:
        folder, where = _unpacked(board, source, progress), f"the package {source.package}"
    path = folder / name
    if not path.is_file():
        raise CardError(f"{board.name}: {where} has no {name}", "name a folder that has it with --firmware")
    return path


def _unpacked(board: Board, source: DebianFirmware, progress: Progress) -> Path:
    packages = Packages(ARCHITECTURES[board.arch], progress, suites=_suites_with(source.component))
    return packages.unpacked(packages.resolve(PackageSet(alone=(source.package,)))) / source.folder


def _suites_with(component: str) -> Callable[[str], tuple[Suite, ...]]:
    def suites(release: str) -> tuple[Suite, ...]:
        return tuple(dataclasses.replace(suite, components=component) for suite in host_suites(release))

    return suites
