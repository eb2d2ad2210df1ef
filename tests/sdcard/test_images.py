"""Whole card images, made by the real tools and read back by others."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.sdcard.board import MIB, Board, DeviceTree, FirmwarePiece
from scripts.sdcard.boards import BOARDS
from scripts.sdcard.build import CardOptions, LoaderFiles, build_card
from scripts.sdcard.errors import CardError
from scripts.sdcard.fat import read_fat_sha256

BOARD = BOARDS["virt-armhf"]
OPTIONS = CardOptions({"server": "http://10.0.2.2:8080"})


@pytest.fixture
def loader(tmp_path: Path) -> LoaderFiles:
    kernel, initramfs, dtbs = tmp_path / "vmlinuz", tmp_path / "initrd", tmp_path / "dtbs"
    kernel.write_bytes(b"kernel " * 300_000)
    initramfs.write_bytes(bytes(range(256)) * 20_000)
    dtbs.mkdir()
    (dtbs / "board.dtb").write_bytes(b"\xd0\x0d\xfe\xedtree")
    return LoaderFiles(kernel, initramfs, dtbs)


def output_of(*argv: str | Path) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout


def partition_of(image: Path, folder: Path) -> Path:
    partition = folder / "partition"
    partition.write_bytes(image.read_bytes()[4 * MIB :])
    return partition


def test_the_same_inputs_give_the_same_bytes(loader: LoaderFiles, tmp_path: Path) -> None:
    images = [tmp_path / "one.img", tmp_path / "two.img"]
    for image in images:
        loader.kernel.touch()
        build_card(BOARD, loader, OPTIONS, image)
    assert images[0].read_bytes() == images[1].read_bytes()


def test_another_setting_gives_another_card_name(loader: LoaderFiles, tmp_path: Path) -> None:
    first = build_card(BOARD, loader, OPTIONS, tmp_path / "one.img")
    other = build_card(BOARD, loader, CardOptions({"server": "http://10.0.2.3"}), tmp_path / "two.img")
    assert first.partuuid != other.partuuid


def test_the_partition_table_is_what_sfdisk_and_the_kernel_expect(loader: LoaderFiles, tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    layout = build_card(BOARD, loader, OPTIONS, image)
    dump = output_of("sfdisk", "--dump", image)
    assert "label: dos" in dump
    assert f"label-id: 0x{layout.disk_id:08x}" in dump
    assert "start=        8192, size=      122880, type=c, bootable" in dump
    assert image.stat().st_size == layout.card_bytes == 64 * MIB


def test_the_file_system_is_clean_fat32_with_the_label_bootpilot(loader: LoaderFiles, tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    layout = build_card(BOARD, loader, OPTIONS, image)
    partition = partition_of(image, tmp_path)
    subprocess.run(["fsck.fat", "-n", partition], check=True, capture_output=True, timeout=60)
    found = output_of("blkid", "--probe", "--output", "export", partition)
    assert "TYPE=vfat" in found
    assert "VERSION=FAT32" in found
    assert "LABEL=BOOTPILOT" in found
    assert f"UUID={layout.disk_id >> 16:04X}-{layout.disk_id & 0xFFFF:04X}" in found


def test_every_file_is_on_the_card(loader: LoaderFiles, tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    build_card(replace(BOARD, trees=(DeviceTree("board.dtb", "a board"),), fdt="board.dtb"), loader, OPTIONS, image)
    listing = output_of("mdir", "-i", f"{image}@@{4 * MIB}", "-/", "-b", "::")
    names = {"::/extlinux/extlinux.conf", "::/bootpilot.txt", "::/vmlinuz", "::/initrd.img", "::/dtbs/board.dtb"}
    assert names <= set(listing.split())
    assert 'server = "http://10.0.2.2:8080"' in output_of("mtype", "-i", f"{image}@@{4 * MIB}", "::bootpilot.txt")


def test_firmware_lies_raw_at_its_offset(loader: LoaderFiles, tmp_path: Path) -> None:
    firmware = tmp_path / "spl.bin"
    firmware.write_bytes(b"second program loader" * 100)
    piece = FirmwarePiece("spl.bin", "the boot ROM reads here", 8192)
    image = tmp_path / "card.img"
    build_card(replace(BOARD, firmware=(piece,)), loader, OPTIONS, image, {"spl.bin": firmware})
    content = image.read_bytes()
    assert content[8192 : 8192 + 2100] == firmware.read_bytes()
    assert content[510:512] == b"\x55\xaa"


@pytest.mark.parametrize(
    ("board", "complaint"),
    [
        (replace(BOARD, trees=(DeviceTree("missing.dtb", "no board"),)), "the loader has no device tree missing.dtb"),
        (replace(BOARD, firmware=(FirmwarePiece("MLO", "the boot ROM wants it", 131072),)), "the firmware MLO is missing"),
    ],
)
def test_what_is_missing_is_named_and_no_image_is_left(
    loader: LoaderFiles, tmp_path: Path, board: Board, complaint: str
) -> None:
    image = tmp_path / "out" / "card.img"
    with pytest.raises(CardError, match=complaint):
        build_card(board, loader, OPTIONS, image, {})
    assert not image.exists()


def test_a_failed_build_leaves_the_card_of_before(loader: LoaderFiles, tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    build_card(BOARD, loader, OPTIONS, image)
    before = image.read_bytes()
    with pytest.raises(CardError, match="nothing fits"):
        build_card(BOARD, loader, replace(OPTIONS, card_bytes=16 * MIB), image)
    assert image.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_reads_back_is_what_was_written(loader: LoaderFiles, tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    layout = build_card(BOARD, loader, OPTIONS, image)
    content = bytearray(image.read_bytes())
    place = content.index(b"kernel kernel kernel")
    before = read_fat_sha256(image, layout, "vmlinuz")
    content[place] ^= 1
    image.write_bytes(content)
    assert read_fat_sha256(image, layout, "vmlinuz") != before
