"""Each board's card against what its boot ROM and firmware do, with the firmware that Debian really ships."""

import json
import re
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from scripts.sdcard.board import Board
from scripts.sdcard.boards import BOARDS, ROWS
from scripts.sdcard.build import CardOptions, LoaderFiles, build_card
from scripts.sdcard.firmware import firmware_files, flash_file
from tests.sdcard.card_reading import MIB, Fat32, output_of
from tests.sdcard.conftest import MakeLoader

OPTIONS = CardOptions({"server": "http://boot.example:8080"})
ON_MBR = [board for board in ROWS if not board.name.startswith("uefi")]


def card_of(board: Board, make: MakeLoader, folder: Path) -> Path:
    image = folder / "card.img"
    build_card(board, make(board), OPTIONS, image)
    return image


def names_on(image: Path) -> set[str]:
    return set(output_of("mdir", "-i", f"{image}@@{4 * MIB}", "-/", "-b", "::").split())


def text_on(image: Path, path: str) -> str:
    argv = ["mtype", "-i", f"{image}@@{4 * MIB}", f"::{path}"]
    return subprocess.run(argv, capture_output=True, check=True, timeout=60).stdout.decode(errors="replace")


@pytest.mark.parametrize("board", ON_MBR, ids=lambda board: board.name)
def test_every_card_has_one_active_fat32_that_its_kernel_finds_again(
    board: Board, loader_for: MakeLoader, tmp_path: Path
) -> None:
    image = card_of(board, loader_for, tmp_path)
    raw = image.read_bytes()
    active, kind, start, sectors = struct.unpack_from("<B3xB3xII", raw, 446)
    assert (active, kind, start) == (0x80, 0x0C, 8192)
    assert raw[462:510] == bytes(48)
    assert raw[510:512] == b"\x55\xaa"
    fat = Fat32(image, 4 * MIB)
    # TI's older boot ROMs want an even length, and the same one in both places.
    assert fat.sectors == sectors == len(raw) // 512 - 8192
    assert sectors % 2 == 0
    assert fat.hidden == start
    (disk_id,) = struct.unpack_from("<I", raw, 440)
    words = [name for name in names_on(image) if name.endswith(("extlinux.conf", "cmdline.txt", "boot.scr"))]
    assert len(words) == 1
    found = re.search(r"bootpilot\.card=PARTUUID=([0-9a-f]{8})-01", text_on(image, words[0].removeprefix("::/")))
    assert found
    assert int(found[1], 16) == disk_id


@pytest.mark.parametrize(("name", "load_address"), [("pandaboard", 0x40300000), ("beaglebone-black", 0x402F0400)])
def test_an_omap_boot_rom_finds_mlo_raw_and_as_the_first_file(
    name: str, load_address: int, loader_for: MakeLoader, tmp_path: Path
) -> None:
    image = card_of(BOARDS[name], loader_for, tmp_path)
    raw = image.read_bytes()
    mlo = firmware_files(BOARDS[name])["MLO"].read_bytes()
    at = 256 * 512
    section, section_bytes = struct.unpack_from("<2I", raw, at)
    assert raw[at + 20 : at + 32] == b"CHSETTINGS\0\0"
    assert struct.unpack_from("<IB", raw, at + section) == (0xC0C0C0C1, 0)
    assert section + section_bytes <= 512
    size, address = struct.unpack_from("<2I", raw, at + 512)
    assert address == load_address
    assert size <= len(mlo) <= 128 * 1024
    assert raw[at : at + len(mlo)] == mlo
    fat = Fat32(image, 4 * MIB)
    first_name, first_cluster, first_size = fat.root_files()[0]
    assert (first_name, first_size) == ("MLO", len(mlo))
    assert fat.content(first_cluster)[: len(mlo)] == mlo
    chain = fat.clusters(first_cluster)
    assert chain == list(range(chain[0], chain[0] + len(chain)))


@pytest.mark.parametrize("name", ["pandaboard", "beaglebone-black"])
def test_an_omap_spl_finds_u_boot_raw_and_as_a_file(name: str, loader_for: MakeLoader, tmp_path: Path) -> None:
    image = card_of(BOARDS[name], loader_for, tmp_path)
    raw = image.read_bytes()
    u_boot = firmware_files(BOARDS[name])["u-boot.img"].read_bytes()
    at = 768 * 512
    assert raw[at : at + len(u_boot)] == u_boot
    assert u_boot[:4] in (b"\x27\x05\x19\x56", b"\xd0\x0d\xfe\xed")
    assert at + len(u_boot) < 4 * MIB
    assert Fat32(image, 4 * MIB).root_files()[1][2] == len(u_boot)


def test_the_pandaboards_card_serves_both_boards_and_has_nothing_that_u_boot_would_run_first(
    loader_for: MakeLoader, tmp_path: Path
) -> None:
    names = names_on(card_of(BOARDS["pandaboard"], loader_for, tmp_path))
    assert {"::/dtbs/omap4-panda.dtb", "::/dtbs/omap4-panda-a4.dtb", "::/dtbs/omap4-panda-es.dtb"} <= names
    assert not names & {"::/boot.scr", "::/uEnv.txt", "::/uboot.env"}


def test_the_imx53_boot_rom_finds_an_image_vector_table_and_u_boots_environment_stays_free(
    loader_for: MakeLoader, tmp_path: Path
) -> None:
    raw = card_of(BOARDS["imx53-qsb"], loader_for, tmp_path).read_bytes()
    u_boot = firmware_files(BOARDS["imx53-qsb"])["u-boot-dtb.imx"].read_bytes()
    assert raw[1024:1028] == bytes.fromhex("d1002040")
    entry, _, _, boot_data, own = struct.unpack_from("<5I", raw, 1028)
    start, size = struct.unpack_from("<2I", raw, 1024 + boot_data - own)
    # The ROM loads from the card's first byte on: the table's address is 1 KiB behind the start.
    assert own == start + 1024
    assert start < entry < start + size
    assert size >= 1024 + len(u_boot)
    assert raw[1024 : 1024 + len(u_boot)] == u_boot
    assert 1024 + len(u_boot) <= 0xC0000
    assert raw[0xC0000 : 0xC0000 + 0x2000] == bytes(0x2000)


def test_the_imx53s_boot_script_is_one_that_u_boots_own_tool_accepts(loader_for: MakeLoader, tmp_path: Path) -> None:
    image = card_of(BOARDS["imx53-qsb"], loader_for, tmp_path)
    script = tmp_path / "boot.scr"
    subprocess.run(["mcopy", "-i", f"{image}@@{4 * MIB}", "::boot.scr", script], check=True, timeout=60)
    listing = output_of("mkimage", "-l", script)
    assert "ARM Linux Script (uncompressed)" in listing
    raw = script.read_bytes()
    header = bytearray(raw[:64])
    stored = bytes(header[4:8])
    header[4:8] = bytes(4)
    assert zlib.crc32(bytes(header)).to_bytes(4, "big") == stored
    assert zlib.crc32(raw[64:]).to_bytes(4, "big") == raw[24:28]
    length, end = struct.unpack_from(">2I", raw, 64)
    assert (length, end) == (len(raw) - 72, 0)
    assert b"bootz 0x80000000 0x82000000:${filesize} 0x81f00000" in raw
    assert {"::/dtbs/imx53-qsb.dtb", "::/dtbs/imx53-qsrb.dtb"} <= names_on(image)


@pytest.mark.parametrize("name", ["orangepi-pc", "cubieboard", "bananapi-m2-ultra"])
def test_an_allwinner_boot_rom_finds_its_spl_with_the_right_checksum(name: str, loader_for: MakeLoader, tmp_path: Path) -> None:
    image = card_of(BOARDS[name], loader_for, tmp_path)
    raw = image.read_bytes()
    assert raw[8196:8204] == b"eGON.BT0"
    checksum, length = struct.unpack_from("<2I", raw, 8204)
    words = list(struct.unpack_from(f"<{length // 4}I", raw, 8192))
    words[3] = 0x5F0A6C39
    assert sum(words) & 0xFFFFFFFF == checksum
    # U-Boot itself follows at 40 KiB (CONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR), in its own image format.
    assert raw[40 * 1024 : 40 * 1024 + 4] == b"\x27\x05\x19\x56"
    assert len(raw) & (len(raw) - 1) == 0
    [tree] = BOARDS[name].trees
    assert f"fdt /dtbs/{tree.path}\n" in text_on(image, "extlinux/extlinux.conf")
    assert f"::/dtbs/{tree.path}" in names_on(image)


def test_raspberry_pi_firmware_and_device_trees_are_in_the_root(loader_for: MakeLoader, tmp_path: Path) -> None:
    image = card_of(BOARDS["raspberrypi-4"], loader_for, tmp_path)
    firmware = {"bootcode.bin", "start.elf", "fixup.dat", "start4.elf", "fixup4.dat"}
    trees = {"bcm2837-rpi-3-b.dtb", "bcm2837-rpi-3-b-plus.dtb", "bcm2711-rpi-4-b.dtb", "bcm2711-rpi-cm4-io.dtb"}
    wanted = {*firmware, *trees, "config.txt", "cmdline.txt", "vmlinuz", "initrd.img"}
    assert {f"::/{name}" for name in wanted} <= names_on(image)
    for name in ("start4.elf", "start.elf"):
        copy = tmp_path / name
        subprocess.run(["mcopy", "-i", f"{image}@@{4 * MIB}", f"::{name}", copy], check=True, timeout=60)
        assert copy.read_bytes()[:4] == b"\x7fELF"
    assert text_on(image, "cmdline.txt").startswith("nr_cpus=1 ")


@pytest.mark.parametrize(
    ("name", "path", "machine"),
    [("uefi-arm64", "EFI/BOOT/BOOTAA64.EFI", 0xAA64), ("uefi-amd64", "EFI/BOOT/BOOTX64.EFI", 0x8664)],
)
def test_uefi_firmware_finds_a_boot_manager_at_the_removable_path(
    name: str, path: str, machine: int, loader_for: MakeLoader, tmp_path: Path
) -> None:
    image = card_of(BOARDS[name], loader_for, tmp_path)
    table = json.loads(output_of("sfdisk", "--json", image))["partitiontable"]
    [partition] = table["partitions"]
    assert (table["label"], partition["type"]) == ("gpt", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B")
    assert output_of("sfdisk", "--verify", image).count("No errors detected") == 1
    manager = tmp_path / "manager.efi"
    subprocess.run(["mcopy", "-i", f"{image}@@{4 * MIB}", f"::{path}", manager], check=True, timeout=60)
    raw = manager.read_bytes()
    (header,) = struct.unpack_from("<I", raw, 60)
    assert struct.unpack_from("<4sH", raw, header) == (b"PE\0\0", machine)
    entry = dict(line.split(" ", 1) for line in text_on(image, "loader/entries/bootpilot.conf").splitlines())
    assert {f"::{entry['linux']}", f"::{entry['initrd']}"} <= names_on(image)
    assert f"bootpilot.card=PARTUUID={partition['uuid'].lower()}" in entry["options"]
    assert "default bootpilot.conf" in text_on(image, "loader/loader.conf")


@pytest.mark.parametrize("board", ROWS, ids=lambda board: board.name)
def test_the_same_inputs_give_every_board_the_same_bytes(board: Board, loader_for: MakeLoader, tmp_path: Path) -> None:
    first = card_of(board, loader_for, tmp_path).read_bytes()
    (tmp_path / "again").mkdir()
    assert card_of(board, loader_for, tmp_path / "again").read_bytes() == first


def test_members_of_a_family_get_the_same_image(loader_for: MakeLoader, tmp_path: Path) -> None:
    names = ["raspberrypi-3", "cm4"]
    images = [tmp_path / name for name in names]
    for name, image in zip(names, images, strict=True):
        build_card(BOARDS[name], loader_for(BOARDS[name]), OPTIONS, image)
    assert images[0].read_bytes() == images[1].read_bytes()


@pytest.mark.long
def test_the_u_boot_of_vexpress_is_an_arm_program_that_knows_where_a_menu_goes() -> None:
    path = flash_file(BOARDS["vexpress-a9"])
    assert path
    raw = path.read_bytes()
    assert raw[:4] == b"\x7fELF"
    assert struct.unpack_from("<H", raw, 18) == (40,)
    assert b"setenv pxefile_addr_r 0x63000000" in raw


def test_an_extra_archive_lies_behind_the_initramfs_at_a_multiple_of_four_bytes(loader_for: MakeLoader, tmp_path: Path) -> None:
    loader: LoaderFiles = loader_for(BOARDS["virt-arm64"])
    loader.initramfs.write_bytes(b"initramfs")
    extra = tmp_path / "extra.cpio"
    extra.write_bytes(b"070701 extra")
    image = tmp_path / "card.img"
    build_card(BOARDS["virt-arm64"], loader, CardOptions(extra_initrds=(extra,)), image)
    assert text_on(image, "initrd.img") == "initramfs" + "\0" * 3 + "070701 extra"
