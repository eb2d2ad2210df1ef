"""Firmware that a person names, and firmware that a board would not start."""

import struct
from pathlib import Path

import pytest

from scripts.sdcard.board import FirmwarePiece
from scripts.sdcard.boards import BOARDS
from scripts.sdcard.build import CardOptions, build_card, check_room
from scripts.sdcard.errors import CardError
from scripts.sdcard.firmware import firmware_files
from scripts.sdcard.rom_rules import check_firmware
from tests.sdcard.conftest import MakeLoader


def sunxi_spl(length: int = 1024) -> bytearray:
    raw = bytearray(struct.pack("<I8s2I", 0xEA000016, b"eGON.BT0", 0x5F0A6C39, length).ljust(length, b"\x11"))
    struct.pack_into("<I", raw, 12, sum(struct.unpack(f"<{length // 4}I", raw)) & 0xFFFFFFFF)
    return raw


def piece(rule: str) -> FirmwarePiece:
    return FirmwarePiece("spl.bin", "the boot ROM starts it", 8192, rule=rule)


def test_a_folders_files_come_before_debians(tmp_path: Path) -> None:
    own = tmp_path / "u-boot-sunxi-with-spl.bin"
    own.write_bytes(sunxi_spl())
    assert firmware_files(BOARDS["cubieboard"], tmp_path) == {own.name: own}


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="is no folder of firmware files"):
        firmware_files(BOARDS["cubieboard"], tmp_path / "missing")


def test_a_u_boot_that_reaches_into_the_partition_is_refused(loader_for: MakeLoader, tmp_path: Path) -> None:
    large = tmp_path / "u-boot-sunxi-with-spl.bin"
    large.write_bytes(sunxi_spl() + bytes(4 << 20))
    board = BOARDS["cubieboard"]
    with pytest.raises(CardError, match=r"u-boot-sunxi-with-spl\.bin .* and FAT partition .* overlap"):
        build_card(board, loader_for(board), CardOptions(), tmp_path / "card.img", {large.name: large})
    with pytest.raises(CardError, match=r"u-boot-sunxi-with-spl\.bin .* and FAT partition .* overlap"):
        check_room(board, {large.name: large}, card_bytes=0)


def test_a_kernel_that_does_not_fit_is_refused_with_the_size_that_it_needs(loader_for: MakeLoader, tmp_path: Path) -> None:
    board = BOARDS["virt-arm64"]
    loader = loader_for(board)
    loader.kernel.write_bytes(bytes(70 << 20))
    with pytest.raises(CardError, match="do not fit on a card of 64 MiB") as refusal:
        build_card(board, loader, CardOptions(card_bytes=64 << 20), tmp_path / "card.img")
    assert "128 MiB" in refusal.value.hint


def test_an_spl_with_the_right_checksum_is_taken() -> None:
    check_firmware("board", piece("sunxi"), bytes(sunxi_spl()))


@pytest.mark.parametrize(
    ("rule", "raw", "complaint"),
    [
        ("sunxi", bytes(1024), "no eGON.BT0 header"),
        ("sunxi", bytes(sunxi_spl()[:-1] + b"\x12"), "its words sum up to"),
        ("sunxi", bytes(sunxi_spl()[:512]), "its SPL has 1024 bytes"),
        ("omap", bytes(1024), "no table of contents"),
        ("omap", b"short", "5 bytes are too few"),
        ("imx", bytes(64), "expected d1 00 20 40"),
        ("imx", bytes.fromhex("d1002040") + bytes(60), "boot data lie outside"),
        ("efi-x64", b"MZ" + bytes(62), "no PE image"),
    ],
)
def test_firmware_that_the_boot_rom_would_pass_over_is_refused(rule: str, raw: bytes, complaint: str) -> None:
    with pytest.raises(CardError, match=complaint):
        check_firmware("board", piece(rule), raw)


def test_a_boot_manager_for_another_machine_is_refused() -> None:
    raw = firmware_files(BOARDS["uefi-arm64"])["systemd-bootaa64.efi"].read_bytes()
    with pytest.raises(CardError, match="machine aa64, expected 8664"):
        check_firmware("uefi-amd64", piece("efi-x64"), raw)
