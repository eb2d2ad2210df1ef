"""A captured board's tree as an archive behind the loader's initramfs, for tests: reports are then marked as simulated."""

from pathlib import Path

from scripts.lab.given_identity import write_identity
from scripts.sdcard.errors import CardError


def identity_initrd(tree: Path, target: Path) -> Path:
    """Write the archive to `target`. Raises CardError if `tree` is no captured board."""
    try:
        with target.open("wb") as stream:
            write_identity(tree, stream)
    except OSError as error:
        raise CardError(f"{tree} is no captured board: {error}", "it holds proc and sys, as in tests/data/boards") from error
    return target
