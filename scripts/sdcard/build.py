"""The flow that makes a card image: collect files, lay out, write, read back, rename. An unfinished image is never seen."""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bootpilot_agent.run import run
from scripts.sdcard.board import Board, FirmwarePiece
from scripts.sdcard.errors import CardError
from scripts.sdcard.fat import CardFile, read_fat_sha256, write_fat
from scripts.sdcard.firmware import firmware_files
from scripts.sdcard.layout import Layout, plan_layout, sfdisk_script
from scripts.sdcard.manifest import MANIFEST_PATH, CardManifest
from scripts.sdcard.menus import INITRAMFS_PATH, KERNEL_PATH, loader_command_line, menu_files, tree_path
from scripts.sdcard.rom_rules import check_firmware
from scripts.sdcard.texts import README_PATH, SETTINGS_PATH, SettingValue, demand_words, readme_text, settings_text

TIMEOUT_S = 60.0
# An initramfs may be several archives one after another, each at a multiple of four bytes (Documentation/driver-api/early-
# userspace/buffer-format.rst).
ARCHIVE_ALIGNMENT = 4


@dataclass(frozen=True)
class CardOptions:
    """What one card says besides its board. `settings` become bootpilot.txt, `arguments` go on the loader's command line.

    `fdt` names the device tree to take where the firmware would choose; `extra_initrds` are archives behind the initramfs.
    """

    settings: Mapping[str, SettingValue] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    card_bytes: int = 0
    fdt: str = ""
    extra_initrds: tuple[Path, ...] = ()


@dataclass(frozen=True)
class LoaderFiles:
    """The loader to put on the card. `dtbs` is a folder of device trees, needed by boards whose firmware has none."""

    kernel: Path
    initramfs: Path
    dtbs: Path | None = None
    build_id: str = ""
    kernel_version: str = ""


def build_card(
    board: Board, loader: LoaderFiles, options: CardOptions, image: Path, firmware: Mapping[str, Path] | None = None
) -> Layout:
    """Write the card image for `board` to `image`; the same inputs give the same bytes.

    `firmware` has the board's firmware files by name; without it they come from Debian or the cache.

    Raises:
        BuildError: Debian's firmware cannot be had, or U-Boot cannot be built.
        CardError: something is missing, overlaps or does not fit, or what was read back differs from what was written.
        CommandError: sfdisk or mtools failed.
    """
    pieces = _read_firmware(board, firmware if firmware is not None else firmware_files(board))
    files = _fixed_files(board, loader, options, pieces)
    build_id = _build_id(board, options, files, pieces)
    sizes = {name: len(content) for name, content in pieces.items()}
    content_bytes = sum(file.size_bytes() for file in files)
    layout = plan_layout(board, sizes, content_bytes, int(build_id[:8], 16) or 1, options.card_bytes)
    words = (*demand_words(options.settings), *options.arguments)
    command_line = loader_command_line(board, layout.partuuid, words)
    menu = [CardFile(path, content) for path, content in menu_files(board, command_line, options.fdt).items()]
    manifest = CardManifest.of(board, build_id, loader.build_id, loader.kernel_version, layout, [*files, *menu], pieces)
    files = (*files, *menu, CardFile(MANIFEST_PATH, manifest.to_json()))

    image.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{image.name}-", dir=image.parent) as folder:
        unfinished = Path(folder) / "card.img"
        _write_image(unfinished, board, pieces, layout, files)
        _verify_image(unfinished, layout, files)
        unfinished.replace(image)
    return layout


def check_room(board: Board, firmware: Mapping[str, Path], card_bytes: int) -> None:
    """What can be told without a loader, which takes minutes to build: the firmware and the card's size. Raises CardError."""
    sizes = {name: len(content) for name, content in _read_firmware(board, firmware).items()}
    plan_layout(board, sizes, content_bytes=0, disk_id=1, card_bytes=card_bytes)


def _write_image(path: Path, board: Board, pieces: dict[str, bytes], layout: Layout, files: tuple[CardFile, ...]) -> None:
    with path.open("wb") as stream:
        os.truncate(stream.fileno(), layout.card_bytes)
    script = path.with_suffix(".sfdisk")
    script.write_text(sfdisk_script(layout))
    # sfdisk reads its script from stdin only, and programs are started without one.
    run(["sh", "-c", 'sfdisk --quiet "$1" < "$2"', "sh", str(path), str(script)], timeout_s=TIMEOUT_S)
    write_fat(path, layout, files)
    with path.open("r+b") as stream:
        for piece in board.firmware:
            if piece.offset_bytes is not None:
                stream.seek(piece.offset_bytes)
                stream.write(pieces[piece.name])


def _verify_image(path: Path, layout: Layout, files: tuple[CardFile, ...]) -> None:
    for file in files:
        expected, got = file.sha256(), read_fat_sha256(path, layout, file.path)
        if got != expected:
            raise CardError(
                f"{file.path} reads back as {got[:12]}, written was {expected[:12]}", "is the disk full or failing?"
            )


def _fixed_files(board: Board, loader: LoaderFiles, options: CardOptions, pieces: dict[str, bytes]) -> tuple[CardFile, ...]:
    """What does not depend on where the partition lies. Firmware comes first: OMAP's boot ROM wants MLO there."""
    firmware = [CardFile(piece.on_card, pieces[piece.name]) for piece in board.firmware if piece.on_card]
    texts = [
        CardFile(SETTINGS_PATH, settings_text(options.settings).encode()),
        CardFile(README_PATH, readme_text(board).encode()),
    ]
    initramfs = CardFile(INITRAMFS_PATH, _with_extra(loader.initramfs, options.extra_initrds))
    trees = [CardFile(tree_path(board, tree), _dtb(board, loader, tree.path)) for tree in board.trees]
    return (*firmware, *texts, CardFile(KERNEL_PATH, loader.kernel), initramfs, *trees)


def _with_extra(initramfs: Path, extra: tuple[Path, ...]) -> Path | bytes:
    if not extra:
        return initramfs
    parts = [path.read_bytes() for path in (initramfs, *extra)]
    return b"".join(part + bytes(-len(part) % ARCHIVE_ALIGNMENT) for part in parts)


def _dtb(board: Board, loader: LoaderFiles, name: str) -> Path:
    path = loader.dtbs / name if loader.dtbs else None
    if path is None or not path.is_file():
        raise CardError(f"{board.name}: the loader has no device tree {name}", "is the board's row for this kernel?")
    return path


def _read_firmware(board: Board, files: Mapping[str, Path]) -> dict[str, bytes]:
    return {piece.name: _read_piece(board, piece, files) for piece in board.firmware}


def _read_piece(board: Board, piece: FirmwarePiece, files: Mapping[str, Path]) -> bytes:
    path = files.get(piece.name)
    try:
        content = path.read_bytes() if path else b""
    except OSError as error:
        raise CardError(f"{board.name}: no firmware {path}: {error.strerror}") from error
    if not content:
        raise CardError(f"{board.name}: the firmware {piece.name} is {'empty' if path else 'missing'}", piece.reason)
    check_firmware(board.name, piece, content)
    return content


def _build_id(board: Board, options: CardOptions, files: tuple[CardFile, ...], pieces: dict[str, bytes]) -> str:
    """16 hex digits that follow from all that is on the card; the first 8 name it (PARTUUID) on the loader's command line."""
    digests = [(file.path, file.sha256()) for file in files]
    raw = [(name, hashlib.sha256(content).hexdigest()) for name, content in sorted(pieces.items())]
    return hashlib.sha256(repr((board, options.arguments, options.fdt, digests, raw)).encode()).hexdigest()[:16]
