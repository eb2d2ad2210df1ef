"""What is known before a root file system is made: its packages, a key for all that goes in, and the work itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from initramfs.private_apt import Package


@dataclass(frozen=True)
class Recipe:
    """`key` changes with all that goes in besides the description: packages, files, the code of the method. `make(work folder)`
    returns a tar archive in it.
    """

    packages: tuple[Package, ...]
    key: object
    make: Callable[[Path], Path]
