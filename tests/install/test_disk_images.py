"""Images of whole disks: GPT and MBR, packed, with a block map made by bmaptool, and all that can be wrong with them."""

import contextlib
import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpilot_agent.fields import Json
from bootpilot_agent.mark import MARK_FILE, MARK_PARTITION_TYPE, Mark
from bootpilot_install.block_map import BlockMap
from bootpilot_install.errors import ImageError
from tests.fakes.boot_server import FakeBootServer
from tests.fakes.install_orders import install_order
from tests.fakes.installing_machine import INSTALL_ID, NODE_ID, InstallingMachine, MountedPartition, told
from tests.fakes.root_archives import Archive, pack, small_system

TABLES = {
    "gpt": "label: gpt\nstart=1MiB, size=8MiB, type=uefi\nstart=9MiB, size=80MiB\n",
    "dos": "label: dos\nlabel-id: 0x12345678\nstart=1MiB, size=8MiB, type=c\nstart=9MiB, size=80MiB, type=83\n",
}


def disk_image(folder: Path, table: str, system: Archive, size_mib: int = 96) -> Path:
    """As a community board's: a small FAT partition first, then the root."""
    tree = folder / "tree"
    tree.mkdir()
    subprocess.run(["tar", "-C", str(tree), "-x"], input=system.bytes(), check=True)
    image, root = folder / "disk.img", folder / "root.img"
    for path, size in ((image, size_mib), (root, 80)):
        with path.open("wb") as file:
            file.truncate(size << 20)
    told("mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(root))
    told("sfdisk", "-q", str(image), given=TABLES[table].encode())
    told("dd", f"if={root}", f"of={image}", "bs=1M", "seek=9", "conv=notrunc,sparse")
    return image


def digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def disk_order(server: FakeBootServer, image: Path, compression: str, block_map: bytes | None = None) -> dict[str, Json]:
    artifact = server.artifact(pack(image.read_bytes(), compression), unpacked_size=image.stat().st_size)
    found: dict[str, Json] = {"kind": "disk", "compression": compression, "artifact": artifact}
    return install_order({**found, "block_map": server.artifact(block_map)} if block_map else found)


def read_mark_partition(disk: Path) -> Mark | None:
    rows = told("sfdisk", "-d", str(disk)).splitlines()
    row = next(row for row in rows if MARK_PARTITION_TYPE.upper() in row)
    start = int(row.split("start=")[1].split(",")[0]) * 512
    return Mark.from_bytes(disk.read_bytes()[start : start + 8192])


@pytest.mark.parametrize("compression", ["xz", "none"])
def test_a_gpt_image_gets_the_marks_partition_at_the_disks_end(
    machine: InstallingMachine, server: FakeBootServer, tmp_path: Path, compression: str
) -> None:
    image = disk_image(tmp_path, "gpt", small_system())
    disk = machine.add_disk(size_mib=200)
    assert machine.install(disk_order(server, image, compression)) == "kexec -e", machine.console
    assert subprocess.run(["sfdisk", "--verify", str(disk)], check=True, capture_output=True).returncode == 0
    mark = read_mark_partition(disk)
    assert mark is not None
    assert mark.install_id == INSTALL_ID
    assert mark.root_partuuid in told("sfdisk", "-d", str(disk)).lower()
    with MountedPartition(disk, 2, tmp_path / "look") as root:
        assert (root / "etc/hostname").read_text() == "web-1\n"
        assert not (root / MARK_FILE).exists()


def test_an_mbr_image_gets_the_mark_as_a_file(machine: InstallingMachine, server: FakeBootServer, tmp_path: Path) -> None:
    image = disk_image(tmp_path, "dos", small_system())
    disk = machine.add_disk(size_mib=200)
    assert machine.install(disk_order(server, image, "zst")) == "kexec -e", machine.console
    with MountedPartition(disk, 2, tmp_path / "look") as root:
        mark = Mark.from_file((root / MARK_FILE).read_bytes())
    assert (mark.install_id, mark.root_partuuid) == (INSTALL_ID, "12345678-02")


def test_the_mark_in_an_image_of_an_installed_disk_is_void_before_it_counts(
    machine: InstallingMachine, server: FakeBootServer, tmp_path: Path
) -> None:
    image = disk_image(tmp_path, "gpt", small_system(), size_mib=100)
    told("sfdisk", "-q", "--append", str(image), given=f"start=90MiB, size=1MiB, type={MARK_PARTITION_TYPE}\n".encode())
    with image.open("r+b") as file:
        file.seek(90 << 20)
        file.write(Mark(INSTALL_ID, INSTALL_ID, "mac", "02:00:00:00:00:01", "0" * 8 + "-01", None).to_bytes())
    disk = machine.add_disk(size_mib=200)
    assert machine.install(disk_order(server, image, "zst")) == "kexec -e", machine.console
    mark = read_mark_partition(disk)
    assert mark is not None
    assert mark.node_id == NODE_ID


def test_with_a_block_map_only_what_it_names_is_written(
    machine: InstallingMachine, server: FakeBootServer, tmp_path: Path
) -> None:
    image = disk_image(tmp_path, "gpt", small_system())
    block_map = told("bmaptool", "create", str(image)).encode()
    mapped = BlockMap.from_bytes(block_map)
    assert 0 < mapped.mapped_bytes < image.stat().st_size // 2
    disk = machine.add_disk(size_mib=200)
    gaps = zip(mapped.ranges, mapped.ranges[1:], strict=False)
    untouched = next(one.end for one, other in gaps if other.start - one.end > 8192 and one.end > 20 << 20)
    with disk.open("r+b") as file:
        file.seek(untouched)
        file.write(b"nothing of the image")
    assert machine.install(disk_order(server, image, "xz", block_map)) == "kexec -e", machine.console
    assert disk.read_bytes()[untouched : untouched + 20] == b"nothing of the image"
    assert read_mark_partition(disk) is not None


def test_a_map_of_another_image_is_noticed(machine: InstallingMachine, server: FakeBootServer, tmp_path: Path) -> None:
    image = disk_image(tmp_path, "gpt", small_system())
    block_map = told("bmaptool", "create", str(image)).encode()
    with image.open("r+b") as file:
        file.seek(BlockMap.from_bytes(block_map).ranges[-1].start)
        file.write(b"changed")
    disk = machine.add_disk(size_mib=200)
    assert machine.install(disk_order(server, image, "zst", block_map)) == "exit code 84"
    assert "the block map says" in machine.console
    assert disk.read_bytes()[: 1 << 20] == bytes(1 << 20)
    good = told("bmaptool", "create", str(image)).encode()
    assert machine.install(disk_order(server, image, "zst", good)) == "kexec -e", machine.console


def test_an_image_larger_than_the_disk_writes_nothing(
    machine: InstallingMachine, server: FakeBootServer, tmp_path: Path
) -> None:
    image = disk_image(tmp_path, "gpt", small_system())
    disk = machine.add_disk(size_mib=64)
    assert machine.install(disk_order(server, image, "zst")) == "exit code 83"
    assert "the disk is too small: the image has 96 MiB, the disk 64" in machine.console
    assert digest(disk.read_bytes()) == digest(bytes(64 << 20))


def test_an_image_without_a_system_is_told(machine: InstallingMachine, server: FakeBootServer, tmp_path: Path) -> None:
    image = disk_image(tmp_path, "gpt", Archive().file("hello", "x"))
    machine.add_disk(size_mib=200)
    assert machine.install(disk_order(server, image, "zst")) == "exit code 84"
    assert "no partition of the image holds a Linux system" in machine.console


def test_an_image_that_fills_the_disk_gets_the_mark_as_a_file(
    machine: InstallingMachine, server: FakeBootServer, tmp_path: Path
) -> None:
    image = disk_image(tmp_path, "gpt", small_system(), size_mib=90)
    disk = machine.add_disk(size_mib=90)
    assert machine.install(disk_order(server, image, "zst")) == "kexec -e", machine.console
    with MountedPartition(disk, 2, tmp_path / "look") as root:
        assert (root / MARK_FILE).exists()


MAP = """<?xml version="1.0" ?>
<bmap version="2.0">
    <!-- <Range>not one</Range> -->
    <ImageSize> 10000 </ImageSize>
    <BlockSize> 4096 </BlockSize>
    <BlocksCount> 3 </BlocksCount>
    <MappedBlocksCount> 2 </MappedBlocksCount>
    <ChecksumType> sha256 </ChecksumType>
    <BlockMap>
        <Range chksum="{digest}"> 0 </Range>
        <Range> 2-2 </Range>
    </BlockMap>
</bmap>
""".replace("{digest}", "a" * 64)


def test_a_block_map_is_read() -> None:
    found = BlockMap.from_bytes(MAP.encode())
    assert [(one.start, one.end, one.checksum) for one in found.ranges] == [(0, 4096, "a" * 64), (8192, 10000, "")]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("2-2", "2-1", "out of order"),
        ("2-2", "0-2", "out of order"),
        ("2-2", "9-9", "outside of the image"),
        ("2-2", "x", "a range that cannot be read"),
        ("> 2 <", "> 3 <", "3 blocks are mapped"),
        ("4096", "0", "blocks of 0 bytes"),
        ('version="2.0"', 'version="3.0"', "version 1 or 2"),
        ("sha256", "md5", "checksums of type md5"),
        ("ImageSize", "Size", "ImageSize is missing"),
    ],
)
def test_a_wrong_block_map_is_named(old: str, new: str, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        BlockMap.from_bytes(MAP.replace(old, new).encode())


@given(st.text(alphabet='<>Range/0123456789- "=bmapversionImgSzBlockMd', max_size=300), st.integers(0, len(MAP)))
def test_any_text_is_a_map_or_a_named_error(text: str, place: int) -> None:
    with contextlib.suppress(ImageError):
        BlockMap.from_bytes((MAP[:place] + text + MAP[place:]).encode())
