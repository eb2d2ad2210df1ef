"""Makes the plan's device tree this board's own: overlays, then what the running tree knows. Reads the running tree.

Imported only for a plan with the policy file+fixups, and for a system on the disk that has a tree of its own.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from bootpilot_agent import sysfs
from bootpilot_agent.errors import PlanError
from bootpilot_agent.flat_tree import FlatTree, FlatTreeError, read_tree, write_tree
from bootpilot_agent.report import RUNNING_TREE
from bootpilot_agent.tree_fixups import fix_up
from bootpilot_agent.tree_memory import Running

# The kernel takes no tree of more than 2 MiB (MAX_FDT_SIZE, arch/arm64/include/asm/boot.h).
MAX_BYTES = 2 << 20
SEED_BYTES = 64


def make_own(dtb: Path, overlays: Sequence[Path], root: Path, say: Callable[[str], object], whose: str = "the plan's") -> None:
    """Change the file. Raises PlanError for a tree or overlay that does not fit this board."""
    raw = sysfs.read_bytes(root / RUNNING_TREE, MAX_BYTES + 1)
    running = Running(_read(raw, "the running device tree"), len(raw))
    content = dtb.read_bytes()
    if overlays:
        from bootpilot_agent.overlays import apply_overlays

        named = [(f"overlay {number} of {len(overlays)}", path.read_bytes()) for number, path in enumerate(overlays, start=1)]
        content = apply_overlays(content, named)
    tree = _read(content, f"{whose} device tree")
    notes = fix_up(tree, running, os.getrandom(SEED_BYTES))
    content = write_tree(tree)
    if len(content) > MAX_BYTES:
        raise PlanError(f"device tree: {len(content)} bytes with overlays and fix-ups; kernels take {MAX_BYTES}")
    dtb.write_bytes(content)
    say(f"device tree: {whose}, with memory, addresses and identity of the running one ({len(content)} bytes)")
    for note in notes:
        say(f"device tree: {note}")


def _read(content: bytes, what: str) -> FlatTree:
    try:
        return read_tree(content)
    except FlatTreeError as error:
        raise PlanError(f"{what}: {error}", "add the artifact again" if "plan" in what else "") from error
