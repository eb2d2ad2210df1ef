"""A newer loader as an operator publishes it: the builder's folder, and loaders/NAME.toml."""

import json
from pathlib import Path

from tests.fakes.site import INITRD, KERNEL, digest

NEW, OLD = "feedfacefeedface", "0123456789abcdef"
LOADER = """\
arch = "arm64"
build = "{build}"
priority = 10
command_line = "rootfstype=ramfs panic=10 nr_cpus=1"
{more}
[kernel]
sha256 = "{kernel}"

[[initrd]]
sha256 = "{initrd}"
"""


def loader(more: str = "", *, build: str = NEW, match: str = "") -> str:
    """The text of loaders/arm64.toml; `more` stands among its top-level keys."""
    return LOADER.format(build=build, more=more, kernel=digest(KERNEL), initrd=digest(INITRD)) + match


def write_build(folder: Path, *, arch: str = "arm64", kernel: bytes = KERNEL) -> Path:
    """What scripts/build-initramfs leaves in its output folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vmlinuz").write_bytes(kernel)
    (folder / "initramfs.zst").write_bytes(INITRD)
    facts = {"arch": arch, "build_id": NEW, "kernel_version": "6.1.0", "unpacked_bytes": 40_000_000}
    (folder / "loader.json").write_text(json.dumps(facts))
    return folder
