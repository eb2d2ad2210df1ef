"""The minimal system, built for real: what is in it, and how its initrd finds the disk that it is on."""

import subprocess
import tarfile
from pathlib import Path

import pytest

from initramfs.architectures import ARCHITECTURES
from initramfs.chroot import run_in_root
from initramfs.errors import BuildError
from scripts.rootfs.build import Rootfs, bootable_version, build_rootfs
from tests.initramfs.newc import unpack_tree

AMD64 = ARCHITECTURES["amd64"]
PARTUUID = "a1b2c3d4-e5f6-4711-8899-aabbccddeeff"


@pytest.fixture(scope="module")
def built() -> Rootfs:
    return build_rootfs("minimal", "amd64")


@pytest.fixture(scope="module")
def members(built: Rootfs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(unpacked(built, tmp_path_factory.mktemp("tar"))) as tar:
        return {member.name.removeprefix("./"): member for member in tar}


def unpacked(built: Rootfs, folder: Path) -> Path:
    plain = folder / "root.tar"
    subprocess.run(["zstd", "--quiet", "--decompress", str(built.archive), "-o", str(plain)], check=True, timeout=120)
    return plain


def test_a_second_build_is_the_first_one(built: Rootfs) -> None:
    assert build_rootfs("minimal", "amd64") == built


@pytest.mark.parametrize("arch", ["amd64", "arm64", pytest.param("armhf", marks=pytest.mark.long)])
def test_it_is_small_and_its_facts_are_true(arch: str, tmp_path: Path) -> None:
    built = build_rootfs("minimal", arch)
    content = unpacked(built, tmp_path)
    assert content.stat().st_size == built.unpacked_bytes <= 64_000_000
    assert built.size_bytes == built.archive.stat().st_size
    assert built.packages.keys() == {"busybox-static", f"linux-image-{built.kernel_version}"}


def test_an_agent_finds_a_kernel_with_its_initrd(built: Rootfs, members: dict[str, tarfile.TarInfo]) -> None:
    assert bootable_version(members.keys()) == built.kernel_version
    assert members["usr/sbin/init"].mode == 0o755
    assert members[f"usr/lib/modules/{built.kernel_version}/modules.dep"].isreg()


def test_everything_belongs_to_root_and_nothing_is_a_device(members: dict[str, tarfile.TarInfo]) -> None:
    assert {(member.uid, member.gid) for member in members.values()} == {(0, 0)}
    assert [name for name, member in members.items() if not (member.isreg() or member.isdir() or member.issym())] == []
    assert [name for name in members if name.startswith("/") or ".." in Path(name).parts] == []


@pytest.fixture(scope="module")
def initrd(built: Rootfs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("initrd")
    with tarfile.open(unpacked(built, folder)) as tar:
        content = tar.extractfile(f"./boot/initrd.img-{built.kernel_version}")
        assert content
        (folder / "initrd").write_bytes(content.read())
    tree = folder / "tree"
    tree.mkdir()
    return unpack_tree(folder / "initrd", tree)


@pytest.mark.parametrize(
    ("table", "number", "expected"),
    [
        (f"label: gpt\nsize=2048\nsize=2048,uuid={PARTUUID}\n", 2, PARTUUID),
        ("label: dos\nlabel-id: 0x1a2b3c4d\nsize=2048\nsize=2048\n", 2, "1a2b3c4d-02"),
    ],
    ids=["gpt", "mbr"],
)
def test_its_initrd_reads_a_partition_s_uuid_off_the_disk(
    initrd: Path, tmp_path: Path, table: str, number: int, expected: str
) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as stream:
        stream.truncate(8 << 20)
    subprocess.run(["sfdisk", "--quiet", str(disk)], input=table, text=True, check=True, timeout=60)
    text = (initrd / "init").read_text()
    functions = text[text.index("# DEVICE OFFSET COUNT") : text.index("find_root() {")]
    functions = functions.replace('"/dev/$1"', '"/work/$1"').replace(
        "/sys/class/block/$1/queue/logical_block_size", "/work/block"
    )
    (tmp_path / "block").write_text("512\n")
    (initrd / "work").mkdir(exist_ok=True)
    said = run_in_root(AMD64, initrd, ["/bin/sh", "-c", f"{functions} partuuid_of disk {number}"], work=tmp_path, timeout_s=60)
    assert said == f"{expected}\n"


def test_a_system_without_a_kernel_is_refused() -> None:
    with pytest.raises(BuildError, match="no kernel with an initrd in its /boot"):
        bootable_version({"boot/vmlinuz-6.1", "boot/initrd.img-6.2", "etc/hostname"})
