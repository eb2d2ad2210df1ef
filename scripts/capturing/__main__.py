"""The command line of scripts/board-tree: a file of scripts/capture-board -> a tree as in tests/data/boards."""

import argparse
import sys
from pathlib import Path

from scripts.capturing.archive import read_archive
from scripts.capturing.errors import CaptureError
from scripts.capturing.tree import write_tree


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="board-tree", description="Make a board's tree of what scripts/capture-board packed.")
    parser.add_argument("archive", type=Path, help="the file that capture-board wrote on the board")
    parser.add_argument("folder", type=Path, help="the tree to make, such as tests/data/boards/NAME")
    parser.add_argument("--card-partuuid", default="", metavar="PARTUUID", help="of the card that the board would boot from")
    options = parser.parse_args(arguments)
    try:
        write_tree(read_archive(options.archive.read_bytes()), options.folder, options.card_partuuid)
    except (CaptureError, OSError) as error:
        print(f"board-tree: {error}", file=sys.stderr)
        return 1
    print(f"{options.folder}: README, expected.json and root; look through them before you give them to others")
    return 0


if __name__ == "__main__":
    sys.exit(main())
