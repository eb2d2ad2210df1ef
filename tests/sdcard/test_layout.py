"""Where things lie on a card, and what is refused before anything is written."""

from dataclasses import replace

import pytest

from scripts.sdcard.boards import BOARDS, KIB, MIB, Board, FirmwarePiece, ReservedArea
from scripts.sdcard.errors import CardError
from scripts.sdcard.layout import Layout, Region, check_regions, plan_layout, sfdisk_script

PLAIN = Board(name="plain", title="a board without firmware on the card", arch="arm64")
SPL = FirmwarePiece("u-boot-omap", "/usr/lib/u-boot/omap4_panda/MLO", 256 * 512, "the boot ROM looks here")
U_BOOT = FirmwarePiece("u-boot-omap", "/usr/lib/u-boot/omap4_panda/u-boot.img", 768 * 512, "the SPL looks here")


@pytest.mark.parametrize(
    ("content_bytes", "card_bytes"),
    [(1, 64 * MIB), (50 * MIB, 64 * MIB), (59 * MIB, 128 * MIB), (120 * MIB, 128 * MIB), (130 * MIB, 256 * MIB)],
)
def test_a_card_is_the_smallest_power_of_two_that_holds_its_files(content_bytes: int, card_bytes: int) -> None:
    assert plan_layout(PLAIN, {}, content_bytes, disk_id=1).card_bytes == card_bytes


def test_the_partition_fills_the_card_from_4_mib_on() -> None:
    layout = plan_layout(PLAIN, {}, 10 * MIB, disk_id=0x1234ABCD)
    assert layout.partition == Region("FAT partition", 4 * MIB, 60 * MIB)
    assert layout.spare_bytes == 0
    assert layout.partuuid == "1234abcd-01"


def test_the_partition_table_is_one_active_fat32_partition() -> None:
    layout = Layout(64 * MIB, Region("FAT partition", 4 * MIB, 60 * MIB), 0xAB)
    assert sfdisk_script(layout) == (
        "label: dos\nlabel-id: 0x000000ab\nunit: sectors\n\nstart=8192, size=122880, type=c, bootable\n"
    )


def test_a_card_that_is_too_small_is_refused_with_the_size_it_needs() -> None:
    with pytest.raises(CardError, match="70 MiB of files do not fit on a card of 64 MiB") as refusal:
        plan_layout(PLAIN, {}, 70 * MIB, disk_id=1, card_bytes=64 * MIB)
    assert "at least 128 MiB" in refusal.value.hint


def test_a_card_size_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(CardError, match="no power of two"):
        plan_layout(PLAIN, {}, MIB, disk_id=1, card_bytes=100 * MIB)


def test_firmware_before_the_partition_fits() -> None:
    board = replace(PLAIN, firmware=(SPL, U_BOOT))
    layout = plan_layout(board, {SPL.path: 38_984, U_BOOT.path: 528_196}, MIB, disk_id=1)
    assert layout.partition.start == 4 * MIB


def test_two_pieces_of_firmware_that_overlap_are_named() -> None:
    board = replace(PLAIN, firmware=(SPL, U_BOOT))
    with pytest.raises(CardError, match=r"MLO \(bytes 131072 to 431072\) and firmware .*u-boot.img .* overlap"):
        plan_layout(board, {SPL.path: 300_000, U_BOOT.path: 528_196}, MIB, disk_id=1)


def test_firmware_that_reaches_into_the_partition_is_refused() -> None:
    board = replace(PLAIN, firmware=(U_BOOT,), partition_start_bytes=1 * MIB)
    with pytest.raises(CardError, match=r"u-boot\.img .* and FAT partition .* overlap"):
        plan_layout(board, {U_BOOT.path: 755_576}, MIB, disk_id=1)


def test_firmware_on_the_partition_table_is_refused() -> None:
    board = replace(PLAIN, firmware=(replace(SPL, offset_bytes=0),))
    with pytest.raises(CardError, match=r"MLO .* and partition table .* overlap"):
        plan_layout(board, {SPL.path: 512}, MIB, disk_id=1)


def test_firmware_on_the_place_of_the_firmwares_settings_is_refused() -> None:
    area = ReservedArea("U-Boot's environment", 768 * KIB, 8 * KIB, "CONFIG_ENV_OFFSET")
    board = replace(PLAIN, firmware=(U_BOOT,), reserved=(area,))
    with pytest.raises(CardError, match=r"u-boot\.img .* and U-Boot's environment .* overlap"):
        plan_layout(board, {U_BOOT.path: 528_196}, MIB, disk_id=1)


def test_a_region_behind_the_end_of_the_card_is_refused() -> None:
    with pytest.raises(CardError, match="ends behind the card's 100 bytes"):
        check_regions([Region("firmware", 50, 51)], 100)


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_every_arm_board_starts_its_loader_with_one_cpu(name: str) -> None:
    assert "nr_cpus=1" in [argument.text for argument in BOARDS[name].arguments]


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_every_odd_value_of_a_board_has_its_reason(name: str) -> None:
    board = BOARDS[name]
    reasons = [item.reason for group in (board.firmware, board.reserved, board.arguments) for item in group]
    assert all(len(reason) > 10 for reason in reasons)
