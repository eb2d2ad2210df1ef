"""Where things lie on a card, and what is refused before anything is written."""

from dataclasses import replace

import pytest

from scripts.sdcard.board import KIB, MIB, Board, FirmwarePiece, ReservedArea, Table
from scripts.sdcard.errors import CardError
from scripts.sdcard.layout import Layout, Region, check_regions, check_size, plan_layout, sfdisk_script

PLAIN = Board(name="plain", title="a board without firmware on the card", arch="arm64")
SPL = FirmwarePiece("MLO", "the boot ROM looks here", 256 * 512)
U_BOOT = FirmwarePiece("u-boot.img", "the SPL looks here", 768 * 512)


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


def test_a_card_size_that_is_no_power_of_two_is_refused_where_the_simulator_needs_one() -> None:
    board = replace(PLAIN, power_of_two="QEMU refuses it")
    with pytest.raises(CardError, match="no power of two: QEMU refuses it") as refusal:
        plan_layout(board, {}, MIB, disk_id=1, card_bytes=100 * MIB)
    assert "128 MiB" in refusal.value.hint


def test_a_real_board_takes_a_card_of_any_number_of_mib() -> None:
    assert plan_layout(PLAIN, {}, MIB, disk_id=1, card_bytes=100 * MIB).partition.size == 96 * MIB
    with pytest.raises(CardError, match="whole MiB"):
        plan_layout(PLAIN, {}, MIB, disk_id=1, card_bytes=100 * MIB + 512)


def test_a_gpt_has_its_copy_at_the_end_and_names_partition_and_disk_by_uuids() -> None:
    layout = plan_layout(replace(PLAIN, table=Table.GPT), {}, 10 * MIB, disk_id=7)
    assert layout.partition == Region("FAT partition", 4 * MIB, 59 * MIB)
    assert layout.partuuid != layout.label_id.lower()
    script = sfdisk_script(layout)
    assert f"start=8192, size=120832, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid={layout.partuuid.upper()}" in script
    assert f"label: gpt\nlabel-id: {layout.label_id}\n" in script


def test_firmware_on_the_gpt_is_refused() -> None:
    board = replace(PLAIN, table=Table.GPT, firmware=(replace(SPL, offset_bytes=8 * KIB),))
    with pytest.raises(CardError, match=r"GPT .* and firmware MLO .* overlap"):
        plan_layout(board, {SPL.name: 512}, MIB, disk_id=1)


def test_firmware_before_the_partition_fits() -> None:
    board = replace(PLAIN, firmware=(SPL, U_BOOT))
    layout = plan_layout(board, {SPL.name: 38_984, U_BOOT.name: 528_196}, MIB, disk_id=1)
    assert layout.partition.start == 4 * MIB


def test_two_pieces_of_firmware_that_overlap_are_named() -> None:
    board = replace(PLAIN, firmware=(SPL, U_BOOT))
    with pytest.raises(CardError, match=r"MLO \(bytes 131072 to 431072\) and firmware .*u-boot.img .* overlap"):
        plan_layout(board, {SPL.name: 300_000, U_BOOT.name: 528_196}, MIB, disk_id=1)


def test_firmware_that_reaches_into_the_partition_is_refused() -> None:
    board = replace(PLAIN, firmware=(U_BOOT,), partition_start_bytes=1 * MIB)
    with pytest.raises(CardError, match=r"u-boot\.img .* and FAT partition .* overlap"):
        plan_layout(board, {U_BOOT.name: 755_576}, MIB, disk_id=1)


def test_firmware_on_the_partition_table_is_refused() -> None:
    board = replace(PLAIN, firmware=(replace(SPL, offset_bytes=0),))
    with pytest.raises(CardError, match=r"MLO .* and partition table .* overlap"):
        plan_layout(board, {SPL.name: 512}, MIB, disk_id=1)


def test_firmware_on_the_place_of_the_firmwares_settings_is_refused() -> None:
    area = ReservedArea("U-Boot's environment", 768 * KIB, 8 * KIB, "CONFIG_ENV_OFFSET")
    board = replace(PLAIN, firmware=(U_BOOT,), reserved=(area,))
    with pytest.raises(CardError, match=r"u-boot\.img .* and U-Boot's environment .* overlap"):
        plan_layout(board, {U_BOOT.name: 528_196}, MIB, disk_id=1)


def test_a_region_behind_the_end_of_the_card_is_refused() -> None:
    with pytest.raises(CardError, match="ends behind the card's 100 bytes"):
        check_regions([Region("firmware", 50, 51)], 100)


@pytest.mark.parametrize(
    ("size_mib", "complaint"),
    [(12, "nothing fits on a card of 12 MiB"), (40, "no power of two"), (3_000_000, "a card image of 3145728000000 bytes")],
)
def test_a_size_that_no_card_may_have_is_refused_whatever_is_to_lie_on_it(size_mib: int, complaint: str) -> None:
    with pytest.raises(CardError, match=complaint) as refusal:
        check_size(replace(PLAIN, power_of_two="QEMU refuses it"), size_mib * MIB)
    assert refusal.value.hint
