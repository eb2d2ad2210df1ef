"""All ways to start what is on some partitions, best first: extlinux, loader entries, GRUB, kernels by version. No I/O here."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from bootpilot_agent.boot_files import extlinux, grub, kernels, loader_entries
from bootpilot_agent.boot_files.entry import BootFileError, Entry, Tree

AnyTree = TypeVar("AnyTree", bound=Tree)


def read_menus(trees: Sequence[AnyTree], arch: str, command_line: str) -> Iterator[tuple[AnyTree, list[Entry] | BootFileError]]:
    """Each boot file that there is, read when it is asked for: its entries, the one to start first; or what is wrong with it.

    The first tree is the system's root, or a partition of boot files alone; the others are what it mounts on /boot and below.
    `command_line` is that of kernels without a boot file; "" where none can be told, and then they do not count.
    """
    for places, read in READERS:
        for tree in trees:
            for place in places:
                if tree.is_file(place) or tree.names(place):
                    yield tree, _read(read, tree, place, arch)
    if command_line:
        for folder, tree in zip(["/boot", *["/"] * len(trees)], trees, strict=False):
            if any(name.startswith(("vmlinu", "Image")) for name in tree.names(folder)):
                yield tree, _kernels(tree, folder, command_line)


def _read(read: Callable[[Tree, str, str], list[Entry]], tree: Tree, place: str, arch: str) -> list[Entry] | BootFileError:
    try:
        return read(tree, place, arch)
    except BootFileError as error:
        return error


def _kernels(tree: Tree, folder: str, command_line: str) -> list[Entry] | BootFileError:
    try:
        return kernels.read_entries(tree, folder, command_line)
    except BootFileError as error:
        return error


def _extlinux(tree: Tree, place: str, arch: str) -> list[Entry]:
    return extlinux.read_entries(tree, place)


def _loader_entries(tree: Tree, place: str, arch: str) -> list[Entry]:
    """Where GRUB reads them too, its environment says which is the default and what the variables in them are."""
    for path in grub.PLACES:
        if tree.is_file(path):
            try:
                menu = grub.read_menu(tree, path)
            except BootFileError:
                continue
            if menu.uses_loader_entries:
                return loader_entries.read_entries(tree, place, arch, menu.saved, menu.variables)
    return loader_entries.read_entries(tree, place, arch)


def _grub(tree: Tree, place: str, arch: str) -> list[Entry]:
    return list(grub.read_menu(tree, place).entries)


READERS: tuple[tuple[tuple[str, ...], Callable[[Tree, str, str], list[Entry]]], ...] = (
    (extlinux.PLACES, _extlinux),
    (loader_entries.PLACES, _loader_entries),
    (grub.PLACES, _grub),
)
