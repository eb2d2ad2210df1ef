"""Finds, in a folder with the device trees of many boards, that of this one: by the running tree's `compatible`.

U-Boot would know the file's name (its variable fdtfile), but does not tell it to what it starts.
"""

from collections.abc import Iterator, Sequence

from bootpilot_agent.boot_files.entry import BootFileError, Tree
from bootpilot_agent.deadline import Deadline
from bootpilot_agent.flat_tree import FlatTreeError, read_tree

# Debian's kernel for arm64 has 900, in folders by maker.
MOST_FILES, DEEPEST = 4096, 4
MAX_BYTES = 2 << 20
SEARCH_S = 20.0


def find_board_tree(tree: Tree, folder: str, compatible: Sequence[str]) -> str:
    """The path, "" if none is for this very board. One with the whole list counts before one with the same first name."""
    if not compatible:
        return ""
    board = compatible[0].rpartition(",")[2]
    paths = sorted(_trees_below(tree, folder, DEEPEST), key=lambda path: not path.endswith(f"{board}.dtb"))
    deadline, second = Deadline.after(SEARCH_S), ""
    for path in paths[:MOST_FILES]:
        if deadline.passed():
            break
        found = _compatible_of(tree, path, compatible[0])
        if found == tuple(compatible):
            return path
        if found[:1] == (compatible[0],):
            second = second or path
    return second


def _trees_below(tree: Tree, folder: str, depth: int) -> Iterator[str]:
    for name in tree.names(folder):
        path = f"{folder.rstrip('/')}/{name}"
        if name.endswith(".dtb") and tree.is_file(path):
            yield path
        elif depth and "." not in name:
            yield from _trees_below(tree, path, depth - 1)


def _compatible_of(tree: Tree, path: str, board: str) -> tuple[str, ...]:
    try:
        content = tree.read(path, MAX_BYTES)
        if board.encode() + b"\0" not in content:  # most of 900: reading one whole takes a hundred times as long
            return ()
        value = read_tree(content).root.properties.get("compatible", b"")
    except (BootFileError, FlatTreeError):
        return ()
    return tuple(part.decode(errors="replace") for part in value.split(b"\0") if part)
