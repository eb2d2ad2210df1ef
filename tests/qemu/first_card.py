"""A card as the end of the first issue made it: that commit's own scripts build it, out of this repository's history."""

import os
import subprocess
from pathlib import Path

from initramfs.cache import cached_folder, key_of

ROOT = Path(__file__).parents[2]
COMMIT = "dcab3dcb7dcedcac09abebf0e46c1d58b961b1e1"
BUILD_TIMEOUT_S = 1800
# What the scripts of any commit need of the surroundings; above all not this run's Python path.
KEPT = ("HOME", "PATH", "USER", "XDG_CACHE_HOME", "TMPDIR", "BOOTPILOT_DEBIAN_MIRROR")


def first_sources() -> Path:
    """That commit's tree, kept in the cache. The clone must have its history: a shallow one has not."""

    def make(folder: Path) -> None:
        archive = subprocess.run(["git", "-C", str(ROOT), "archive", COMMIT], capture_output=True, check=False)
        assert archive.returncode == 0, f"this needs the whole history: git fetch --unshallow\n{archive.stderr.decode()}"
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)

    return cached_folder("first-card", key_of([COMMIT]), make)


def build_first_card(board: str, server_url: str, image: Path) -> Path:
    """The card of that commit for a board of its own table, with the server named in its settings."""
    sources = first_sources()
    argv = ["scripts/build-sdcard", board, "-o", str(image), "--server", server_url]
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    # In its own folder: `python -m`, with which the script starts its program, looks into the current one first.
    done = subprocess.run(
        argv, cwd=sources, capture_output=True, text=True, check=False, timeout=BUILD_TIMEOUT_S, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return image
