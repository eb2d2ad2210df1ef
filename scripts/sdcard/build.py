"""The flow that makes a card image: collect files, lay out, write, read back, rename. An unfinished image is never seen."""

import hashlib
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from bootpilot_agent.run import run
from scripts.sdcard.boards import Board, FirmwarePiece
from scripts.sdcard.errors import CardError
from scripts.sdcard.fat import CardFile, read_fat_sha256, write_fat
from scripts.sdcard.layout import Layout, plan_layout, sfdisk_script
from scripts.sdcard.texts import (
    DTB_FOLDER,
    EXTLINUX_PATH,
    INITRAMFS_PATH,
    KERNEL_PATH,
    SETTINGS_PATH,
    extlinux_conf,
    settings_text,
)

TIMEOUT_S = 60.0


@dataclass(frozen=True)
class CardOptions:
    """What one card says besides its board. `settings` become bootpilot.txt, `arguments` go on the loader's command line."""

    settings: dict[str, str | list[str] | int | bool] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    card_bytes: int = 0


@dataclass(frozen=True)
class LoaderFiles:
    """The loader to put on the card. `dtbs` is a folder of device trees, needed by boards whose firmware has none."""

    kernel: Path
    initramfs: Path
    dtbs: Path | None = None


def build_card(board: Board, loader: LoaderFiles, options: CardOptions, image: Path) -> Layout:
    """Write the card image for `board` to `image`; the same inputs give the same bytes.

    Raises:
        CardError: something is missing, overlaps or does not fit, or what was read back differs from what was written.
        CommandError: sfdisk or mtools failed.
    """
    firmware = {piece.path: _read_firmware(board, piece) for piece in board.firmware}
    loader_files = _loader_files(board, loader)
    settings = CardFile(SETTINGS_PATH, settings_text(options.settings).encode())
    disk_id = _disk_id(board, (*loader_files, settings), options)
    content_bytes = sum(file.size_bytes() for file in loader_files)
    sizes = {path: len(content) for path, content in firmware.items()}
    layout = plan_layout(board, sizes, content_bytes, disk_id, options.card_bytes)
    menu = CardFile(EXTLINUX_PATH, extlinux_conf(board, layout.partuuid, options.arguments).encode())
    files = (menu, settings, *loader_files)

    image.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{image.name}-", dir=image.parent) as folder:
        unfinished = Path(folder) / "card.img"
        _write_image(unfinished, board, firmware, layout, files)
        _verify_image(unfinished, layout, files)
        unfinished.replace(image)
    return layout


def _write_image(path: Path, board: Board, firmware: dict[str, bytes], layout: Layout, files: tuple[CardFile, ...]) -> None:
    with path.open("wb") as stream:
        os.truncate(stream.fileno(), layout.card_bytes)
    script = path.with_suffix(".sfdisk")
    script.write_text(sfdisk_script(layout))
    # sfdisk reads its script from stdin only, and programs are started without one.
    run(["sh", "-c", 'sfdisk --quiet "$1" < "$2"', "sh", str(path), str(script)], timeout_s=TIMEOUT_S)
    write_fat(path, layout, files)
    with path.open("r+b") as stream:
        for piece in board.firmware:
            stream.seek(piece.offset_bytes)
            stream.write(firmware[piece.path])


def _verify_image(path: Path, layout: Layout, files: tuple[CardFile, ...]) -> None:
    for file in files:
        expected, got = file.sha256(), read_fat_sha256(path, layout, file.path)
        if got != expected:
            raise CardError(
                f"{file.path} reads back as {got[:12]}, written was {expected[:12]}", "is the disk full or failing?"
            )


def _loader_files(board: Board, loader: LoaderFiles) -> tuple[CardFile, ...]:
    trees = [_dtb(board, loader, name) for name in board.dtbs]
    return (CardFile(KERNEL_PATH, loader.kernel), CardFile(INITRAMFS_PATH, loader.initramfs), *trees)


def _dtb(board: Board, loader: LoaderFiles, name: str) -> CardFile:
    path = loader.dtbs / name if loader.dtbs else None
    if path is None or not path.is_file():
        raise CardError(f"{board.name}: the loader has no device tree {name}", "is the board's row for this kernel?")
    return CardFile(f"{DTB_FOLDER}/{name}", path)


def _read_firmware(board: Board, piece: FirmwarePiece) -> bytes:
    try:
        return Path(piece.path).read_bytes()
    except OSError as error:
        raise CardError(
            f"{board.name}: no firmware {piece.path}: {error.strerror}", f"install the package {piece.package}"
        ) from error


def _disk_id(board: Board, files: tuple[CardFile, ...], options: CardOptions) -> int:
    """A number that follows from what is on the card; it names the card (PARTUUID) on the loader's command line. Never 0."""
    digest = hashlib.sha256(repr((board, options.arguments, [(file.path, file.sha256()) for file in files])).encode())
    return int.from_bytes(digest.digest()[:4], "big") or 1
