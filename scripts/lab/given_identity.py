"""Packs the tree of a captured board as an extra initrd: a loader that finds it takes that board's identity.

python -m scripts.lab.given_identity tests/data/boards/pandaboard/root -o panda.cpio

The archive goes behind the loader's initramfs (`cat`, or one more initrd for the firmware). Reports are then always
`simulated`; a boot server takes them with --allow-simulated.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bootpilot_agent.cpio import Entry, directory, regular, symlink, write_cpio

# As bootpilot_agent.given_identity looks for it.
PLACE = "bootpilot/identity"


def write_identity(tree: Path, stream: BinaryIO) -> int:
    """The archive of `tree`, which holds proc and sys as captured; returns its bytes. Raises OSError."""
    return write_cpio(identity_entries(tree), stream)


def identity_entries(tree: Path) -> Iterator[Entry]:
    """Folders before what is in them, links as they are. Raises OSError where there is no captured tree."""
    if not any((tree / name).is_dir() for name in ("proc", "sys")):
        raise FileNotFoundError(f"{tree}: the tree of a captured board holds proc and sys")
    yield directory("bootpilot", 0o700)
    yield directory(PLACE)
    for path in sorted(_paths(tree)):
        name = f"{PLACE}/{path.relative_to(tree)}"
        if path.is_symlink():
            yield symlink(name, str(path.readlink()))
        elif path.is_dir():
            yield directory(name)
        else:
            yield regular(name, path)


def _paths(tree: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(tree):
        yield from (Path(folder) / name for name in (*folders, *files))


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="given_identity", description="Pack a captured board's tree as an extra initrd.")
    parser.add_argument("tree", type=Path, help="the captured tree: a folder with proc and sys")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the archive to write")
    options = parser.parse_args(arguments)
    try:
        with options.output.open("wb") as stream:
            size = write_identity(options.tree, stream)
    except OSError as error:
        print(f"given_identity: {error}", file=sys.stderr)
        return 1
    print(f"{options.output}: {size} bytes, the identity of {options.tree}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
