"""What is in the installer's image: the loader's way to start, its own program, and what a disk is written with."""

import subprocess
from pathlib import Path

import pytest

from initramfs.architectures import ARCHITECTURES
from initramfs.build import RamSystem, build_installer
from initramfs.chroot import run_in_root
from initramfs.first_program import FIRST_PROGRAM
from initramfs.image_layout import LAST_ENTRY
from initramfs.installer import PROGRAM
from initramfs.programs import APPLETS
from initramfs.ram_programs import STORAGE_LINKS, STORAGE_PROGRAMS, program_names
from tests.initramfs.newc import read_newc, unpack, unpack_tree

AMD64 = ARCHITECTURES["amd64"]
FOREIGN = [pytest.param(arch, marks=pytest.mark.long) for arch in ARCHITECTURES if arch != "amd64"]


@pytest.fixture(scope="module")
def installer() -> RamSystem:
    return build_installer("amd64")


@pytest.fixture(scope="module")
def tree(installer: RamSystem, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its initrd, unpacked. Tests only read it."""
    return unpack_tree(installer.initrd, tmp_path_factory.mktemp("installer"))


def every_program_starts(arch: str, tree: Path) -> str:
    """The names of those that do not, one on a line."""
    words = " ".join(sorted(program_names(STORAGE_PROGRAMS, STORAGE_LINKS)))
    script = f"for name in {words}; do $name --version >/dev/null 2>&1 </dev/null; [ $? -lt 126 ] || echo $name; done"
    return run_in_root(ARCHITECTURES[arch], tree, ["/bin/sh", "-c", script], timeout_s=300)


@pytest.mark.parametrize("arch", ["amd64", *FOREIGN])
def test_the_image_is_at_most_16_mb_and_all_of_it_works_on_its_own(arch: str, tmp_path: Path) -> None:
    built = build_installer(arch)
    assert built.initrd.stat().st_size <= 16_000_000
    tree = unpack_tree(built.initrd, tmp_path)
    assert "everything is here" in run_in_root(ARCHITECTURES[arch], tree, [PROGRAM, "--self-test"], timeout_s=300)
    assert every_program_starts(arch, tree) == ""


def test_a_second_build_is_the_first_one(installer: RamSystem) -> None:
    assert build_installer("amd64") == installer
    assert installer.initrd_unpacked_bytes == len(unpack(installer.initrd))
    assert read_newc(unpack(installer.initrd))[-1].name == LAST_ENTRY


def test_no_applet_hides_a_program(tree: Path) -> None:
    real = program_names(STORAGE_PROGRAMS, STORAGE_LINKS)
    found = {path.name: path for folder in ("usr/bin", "usr/sbin") for path in (tree / folder).iterdir() if path.name in real}
    assert set(found) == real
    assert [name for name, path in found.items() if path.is_symlink() and path.readlink().name == "busybox"] == []
    assert {path.name for path in (tree / "usr/bin").iterdir()} >= set(APPLETS.split()) - real


def test_a_file_system_that_it_makes_has_what_debian_s_has(tree: Path, tmp_path: Path) -> None:
    disk = tmp_path / "work"
    disk.mkdir()
    with (disk / "disk").open("wb") as stream:
        stream.truncate(64 << 20)
    (tree / "work").mkdir(exist_ok=True)
    run_in_root(AMD64, tree, ["/sbin/mkfs.ext4", "-q", "-F", "/work/disk"], work=disk, timeout_s=120)
    said = run_in_root(AMD64, tree, ["/sbin/dumpe2fs", "-h", "/work/disk"], work=disk, timeout_s=120)
    assert {"has_journal", "extent", "metadata_csum"} <= set(said.split("Filesystem features:")[1].split("\n")[0].split())


def test_the_loader_s_first_program_serves_the_installer(tree: Path) -> None:
    text = (tree / FIRST_PROGRAM).read_text()
    words = subprocess.run(
        ["sh", "-c", f'{text}\necho "$called|$agent"'], capture_output=True, text=True, check=True, timeout=20
    )
    assert words.stdout == f"the installer|{PROGRAM}\n"
    assert f"/{FIRST_PROGRAM}" in (tree / "init").read_text()
