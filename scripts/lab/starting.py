"""Gets a simulated machine ready to be switched on: its card image, and what QEMU is given besides, by the row's `start`.

Writes into the guest's folder only; starts no machine.
"""

import shutil
from pathlib import Path, PurePosixPath

from bootpilot_agent.run import run
from initramfs.build import Loader
from scripts.lab.device_tree import TIMEOUT_S, name_board, write_device_tree
from scripts.lab.errors import LabError
from scripts.lab.guest import CardBoot, DirectBoot, Identity
from scripts.lab.machine import Machine, Named, Start
from scripts.sdcard.board import Board
from scripts.sdcard.boards import BOARDS
from scripts.sdcard.build import CardOptions, LoaderFiles, build_card
from scripts.sdcard.fat import read_fat_file
from scripts.sdcard.firmware import flash_file
from scripts.sdcard.layout import Layout
from scripts.sdcard.menus import INITRAMFS_PATH, KERNEL_PATH, loader_command_line, tree_path

CARD_NAME = "card.img"


def card_boot(
    machine: Machine, loader: Loader, identity: Identity, folder: Path, options: CardOptions
) -> CardBoot | DirectBoot:
    """The card of the machine's board, and how the machine starts from it. Raises BuildError, CardError or CommandError."""
    board, image = BOARDS[machine.board], folder / CARD_NAME
    files = LoaderFiles(loader.kernel, loader.initramfs, loader.dtbs, loader.build_id, loader.kernel_version)
    layout = build_card(board, files, options, image)
    match machine.start:
        case Start.BIOS | Start.OPENSBI:
            tree = folder / "board.dtb"
            write_device_tree(machine, identity, tree)
            return CardBoot(image, tree, tuple(Path(name) for name in machine.firmware))
        case Start.UEFI:
            return CardBoot(image, firmware=_own_flash(machine, folder))
        case Start.FLASHED:
            flashed = flash_file(board)
            if flashed is None:
                raise LabError(f"{board.name}: its row names no firmware for the flash")
            return CardBoot(image, firmware=(flashed,))
        case Start.BOOT_ROM:
            return CardBoot(image)
        case _:
            return _from_card(machine, loader, identity, folder, layout, options)


def _own_flash(machine: Machine, folder: Path) -> tuple[Path, Path]:
    """The firmware's code, which nobody writes to, and a copy of its variables."""
    code, variables = (Path(name) for name in machine.firmware)
    copy = folder / "variables.fd"
    shutil.copyfile(variables, copy)
    return code, copy


def _from_card(
    machine: Machine, loader: Loader, identity: Identity, folder: Path, layout: Layout, options: CardOptions
) -> DirectBoot:
    """Does what the missing firmware would do: reads the loader off the card, and puts the serial number into the tree."""
    board = BOARDS[machine.board]
    command_line = loader_command_line(board, layout.partuuid, options.arguments)
    image = folder / CARD_NAME
    kernel, initramfs, tree = folder / "vmlinuz", folder / "initrd.img", folder / "board.dtb"
    kernel.write_bytes(read_fat_file(image, layout, KERNEL_PATH))
    initramfs.write_bytes(read_fat_file(image, layout, INITRAMFS_PATH))
    tree.write_bytes(_tree(board, machine.tree, loader, image, layout))
    if machine.named is Named.TREE:
        name_board(tree, identity)
    for words in machine.tree_changes:
        run(["fdtput", *words[:-3], str(tree), *words[-3:]], timeout_s=TIMEOUT_S)
    return DirectBoot(kernel, initramfs, command_line, tree, image)


def _tree(board: Board, name: str, loader: Loader, image: Path, layout: Layout) -> bytes:
    for tree in board.trees:
        if PurePosixPath(tree.path).name == name:
            return read_fat_file(image, layout, tree_path(board, tree))
    # A relative of the board: its tree is not on the card.
    if loader.dtbs is None or not (loader.dtbs / name).is_file():
        raise LabError(f"neither the card of {board.name} nor the loader's kernel has a device tree {name}")
    return (loader.dtbs / name).read_bytes()
