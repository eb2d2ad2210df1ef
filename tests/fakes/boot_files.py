"""Systems on a disk as folders: the boot files of tests/data/boot_files with the kernels and initrds that they name."""

import shutil
from pathlib import Path

from bootpilot_agent.boot_files.entry import BootFileError, Entry
from bootpilot_agent.boot_files.menus import read_menus
from bootpilot_agent.confined_tree import ConfinedTree

CASES = Path(__file__).parents[1] / "data/boot_files"


def lay_out(case: str, folder: Path, kernel: bytes = b"kernel") -> Path:
    """The system in `folder`. Kernels hold `kernel`, other files their own path."""
    shutil.copytree(CASES / case, folder, dirs_exist_ok=True)
    for name in (CASES / f"{case}.files").read_text().splitlines():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(kernel if path.name.startswith("vmlinuz") or path.name == "linux" else f"{name}\n".encode())
    return folder


def put(folder: Path, path: str, content: str | bytes = "") -> Path:
    """A file of a system."""
    place = folder / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content.encode() if isinstance(content, str) else content)
    return place


def menus(*folders: Path, arch: str = "arm64", command_line: str = "") -> list[list[Entry] | BootFileError]:
    """What is found, in order: the entries of each boot file, or what is wrong with it."""
    return [found for _, found in read_menus([ConfinedTree(folder, folder.name) for folder in folders], arch, command_line)]


def first(*folders: Path, arch: str = "arm64", command_line: str = "") -> Entry:
    """The entry that is tried first."""
    found = next(each for each in menus(*folders, arch=arch, command_line=command_line) if not isinstance(each, BootFileError))
    return found[0]
