"""An image in its folder of the cache: the compressed archive, its facts beside it, and the key of the code that made it."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from initramfs.architectures import Architecture
from initramfs.archive import PartSize, measure_parts, write_image, write_tree
from initramfs.cache import tree_digests
from initramfs.chroot import run_in_root
from initramfs.layout import Layout

HERE = Path(__file__).parent
SELF_TEST_TIMEOUT_S = 300.0
_FOLDERS = ("overlay/", "workload/", "rescue/")
_MORE_THAN_A_PAGE = ("ram_programs.py", "first_program.py")
# What not every image is made of. A change of one image's own files leaves the others as they are.
_OWN_FILES = {
    "loader": ("overlay/", "loader.py", "build.py"),
    "workload": ("workload/", "ram_systems.py"),
    "installer": ("overlay/", "installer.py", "install_entry.py", "ram_systems.py", *_MORE_THAN_A_PAGE),
    "rescue": ("overlay/", "workload/", "rescue/", "rescue.py", "ram_systems.py", *_MORE_THAN_A_PAGE),
}


def builder_digests(image: str) -> dict[str, str]:
    """The builder's own code and files, without those that only other images are made of."""
    foreign = {name for names in _OWN_FILES.values() for name in names} - set(_OWN_FILES[image])
    digests = tree_digests(HERE, ("*.py", *(f"{name}**/*" for name in _FOLDERS)))
    return {name: digest for name, digest in digests.items() if not name.startswith(tuple(foreign))}


def try_in_image(architecture: Architecture, layout: Layout, argv: list[str], probe: str = "/bin/true") -> str:
    """Run a program in nothing but the image's own tree. Raises BuildError if something is missing that it needs."""
    with tempfile.TemporaryDirectory() as tree:
        write_tree(layout, Path(tree))
        return run_in_root(architecture, Path(tree), argv, timeout_s=SELF_TEST_TIMEOUT_S, probe=probe)


def write_with_facts(folder: Path, name: str, layout: Layout, last_part: str, time_s: int) -> None:
    """The image `name` in `folder`, and what it weighs, unpacked and by parts."""
    raw_bytes = write_image(layout, folder / name, time_s, last_part)
    sizes = [asdict(part) for part in measure_parts(layout, folder / name)]
    (folder / "facts.json").write_text(json.dumps({"unpacked_bytes": raw_bytes, "sizes": sizes}, indent=1))


def read_facts(folder: Path) -> tuple[int, tuple[PartSize, ...]]:
    """The unpacked size in bytes and the parts of the image in `folder`."""
    facts = json.loads((folder / "facts.json").read_text())
    return facts["unpacked_bytes"], tuple(PartSize(**part) for part in facts["sizes"])
