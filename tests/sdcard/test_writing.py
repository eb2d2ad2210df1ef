"""Writing a card: which disk is refused, what is written, and that it is read back. A file stands for the disk."""

from dataclasses import replace
from pathlib import Path

import pytest

from scripts.sdcard.boards import BOARDS
from scripts.sdcard.build import CardOptions, build_card
from scripts.sdcard.card_writer import write_card
from scripts.sdcard.errors import CardError
from scripts.sdcard.target_disk import TargetDisk, describe_disk, from_lsblk, reasons_against
from scripts.sdcard.verify import verify_card
from tests.sdcard.card_reading import MIB
from tests.sdcard.conftest import MakeLoader

GOOD = TargetDisk(Path("/dev/sdx"), 32 * 10**9, "SD reader", removable=True)


def silent(what: str, done: int, total: int) -> None:
    assert 0 < done <= total, what


@pytest.mark.parametrize("name", ["cubieboard", "uefi-amd64"])
def test_a_used_card_becomes_a_good_one(name: str, loader_for: MakeLoader, tmp_path: Path) -> None:
    image, card = tmp_path / "card.img", tmp_path / "card"
    layout = build_card(BOARDS[name], loader_for(BOARDS[name]), CardOptions(), image)
    card.write_bytes(b"\xff" * (96 * MIB if name == "cubieboard" else layout.card_bytes))
    shown: list[tuple[str, int, int]] = []
    write_card(image, layout, card, lambda *progress: shown.append(progress))
    assert verify_card(card).problems == []
    assert {what for what, _, _ in shown} == {"writing", "reading back"}
    assert all(what[1] == what[2] for what in (shown[-1], [item for item in shown if item[0] == "writing"][-1]))


def test_an_old_tables_copy_at_the_cards_end_is_cleared(loader_for: MakeLoader, tmp_path: Path) -> None:
    image, card = tmp_path / "card.img", tmp_path / "card"
    layout = build_card(BOARDS["cubieboard"], loader_for(BOARDS["cubieboard"]), CardOptions(), image)
    card.write_bytes(b"\xff" * (96 * MIB))
    write_card(image, layout, card, silent)
    assert card.read_bytes()[-33 * 512 :] == bytes(33 * 512)


def test_the_place_of_u_boots_environment_is_cleared(loader_for: MakeLoader, tmp_path: Path) -> None:
    image, card = tmp_path / "card.img", tmp_path / "card"
    layout = build_card(BOARDS["imx53-qsb"], loader_for(BOARDS["imx53-qsb"]), CardOptions(), image)
    card.write_bytes(b"\xff" * layout.card_bytes)
    write_card(image, layout, card, silent)
    assert card.read_bytes()[0xC0000:0xC2000] == bytes(0x2000)


def test_a_card_that_does_not_keep_what_is_written_is_refused(loader_for: MakeLoader, tmp_path: Path) -> None:
    image, card = tmp_path / "card.img", tmp_path / "card"
    layout = build_card(BOARDS["cubieboard"], loader_for(BOARDS["cubieboard"]), CardOptions(), image)
    card.write_bytes(bytes(layout.card_bytes))

    def lose_a_byte(what: str, done: int, total: int) -> None:
        if (what, done) == ("writing", total):
            with card.open("r+b") as stream:
                stream.seek(5 * MIB)
                stream.write(b"\xa5")

    with pytest.raises(CardError, match="reads back something else at byte 4194304 to 8388608"):
        write_card(image, layout, card, lose_a_byte)


def test_a_file_stands_for_a_disk(tmp_path: Path) -> None:
    card = tmp_path / "card"
    card.write_bytes(bytes(1000))
    disk = describe_disk(card)
    assert (disk.size_bytes, disk.removable, disk.mounted) == (1000, True, ())


@pytest.mark.parametrize("path", ["/dev/null", "/nowhere/sdx", "/"])
def test_what_is_no_disk_is_refused(path: str) -> None:
    with pytest.raises(CardError, match="is no disk"):
        describe_disk(Path(path))


def test_a_good_card_has_nothing_against_it() -> None:
    assert reasons_against(GOOD, 64 * MIB) == ([], [])


@pytest.mark.parametrize(
    ("disk", "reason"),
    [
        (replace(GOOD, mounted=("/media/card",)), "mounted at /media/card"),
        (replace(GOOD, read_only=True), "write-protected"),
        (replace(GOOD, is_disk=False), "a part of a disk"),
        (replace(GOOD, size_bytes=MIB), "the image 67108864"),
    ],
)
def test_a_disk_that_cannot_be_written_is_refused_whatever_one_says(disk: TargetDisk, reason: str) -> None:
    never, _ = reasons_against(disk, 64 * MIB)
    assert reason in never[0]


@pytest.mark.parametrize(
    ("disk", "reason"),
    [
        (replace(GOOD, removable=False), "not removable"),
        (replace(GOOD, size_bytes=257 * 10**9), "257 GB, more than any card"),
    ],
)
def test_a_disk_that_is_hardly_meant_is_refused_unless_forced(disk: TargetDisk, reason: str) -> None:
    never, doubts = reasons_against(disk, 64 * MIB)
    assert never == []
    assert reason in doubts[0]


def test_what_is_on_a_disk_is_shown_and_a_mount_deep_inside_is_found() -> None:
    device: dict[str, object] = {
        "path": "/dev/sdb",
        "size": 31914983424,
        "rm": True,
        "type": "disk",
        "tran": "usb",
        "vendor": "Generic ",
        "model": "STORAGE DEVICE",
        "mountpoints": [None],
        "children": [
            {"path": "/dev/sdb1", "size": 268435456, "type": "part", "fstype": "vfat", "label": "BOOT", "mountpoints": [None]},
            {
                "path": "/dev/sdb2",
                "size": 31000000000,
                "type": "part",
                "fstype": "crypto_LUKS",
                "mountpoints": [None],
                "children": [{"path": "/dev/mapper/x", "size": 31000000000, "type": "crypt", "mountpoints": ["/home", None]}],
            },
        ],
    }
    disk = from_lsblk(Path("/dev/sdb"), device)
    assert disk.mounted == ("/home",)
    assert str(disk).splitlines() == [
        "/dev/sdb: Generic STORAGE DEVICE usb, 31.9 GB",
        "  /dev/sdb1 vfat BOOT (268 MB)",
        "  /dev/sdb2 crypto_LUKS (31000 MB)",
        "  /dev/mapper/x (31000 MB)",
    ]


def test_a_card_in_a_reader_of_the_boards_own_is_removable_and_a_partition_is_no_disk() -> None:
    card = from_lsblk(Path("/dev/mmcblk0"), {"path": "/dev/mmcblk0", "size": 1, "rm": False, "type": "disk"})
    part = from_lsblk(Path("/dev/mmcblk0p1"), {"path": "/dev/mmcblk0p1", "size": 1, "rm": False, "type": "part"})
    assert card.removable
    assert not part.is_disk
