"""Which disk may be written: every rule by itself, and that nothing is ever guessed."""

import pytest

from bootpilot_agent.install_order import Guard
from bootpilot_agent.inventory import Disk, Transport
from bootpilot_install.contents import Contents, MarkPart
from bootpilot_install.errors import GuardError
from bootpilot_install.guard import CardName, choose_disk

GIB = 1 << 30
ME = "6f8f57f2-7a5a-4b6d-9c1f-0d4c53f1a001"
OTHER = "11111111-7a5a-4b6d-9c1f-0d4c53f1a001"
CARD = CardName("0badcafe-01", "275048", "/devices/platform/mmc0/block/mmcblk0")
SATA = Disk("sda", 100 * GIB, Transport.SATA, "HARDDISK", "S1", False, "/devices/pci/ata1/block/sda")
USB = Disk("sdb", 32 * GIB, Transport.USB, "Stick", "U1", False, "/devices/pci/usb1/block/sdb")
MMC = Disk("mmcblk1", 16 * GIB, Transport.MMC, "EMMC", "E1", False, "/devices/platform/mmc1/block/mmcblk1")


def choose(guard: Guard, *disks: Disk, **contents: Contents) -> Disk:
    return choose_disk(disks, {disk.name: contents.get(disk.name, Contents()) for disk in disks}, guard, CARD, ME)


def refusal(guard: Guard, *disks: Disk, **contents: Contents) -> str:
    with pytest.raises(GuardError) as caught:
        choose(guard, *disks, **contents)
    return str(caught.value)


def test_the_one_disk_that_fits_is_taken() -> None:
    assert choose(Guard(), SATA, MMC) == SATA
    assert choose(Guard(transports=(Transport.USB,)), SATA, USB) == USB


def test_an_mmc_is_taken_only_if_it_is_named() -> None:
    assert "is mmc, not sata or usb or nvme" in refusal(Guard(), MMC)
    assert choose(Guard(transports=(Transport.MMC,)), MMC) == MMC


def test_several_that_fit_are_none() -> None:
    text = refusal(Guard(), SATA, USB)
    assert "2 disks fit, and exactly one has to" in text
    assert "nothing was written" in text
    assert "sda (HARDDISK, 100.0 GiB, sata)" in text
    assert "sdb (Stick, 32.0 GiB, usb)" in text
    assert "by serial, model or path" in text


def test_no_disk_at_all_is_told() -> None:
    assert "there is no disk at all; wanted: sata or usb or nvme; nothing was written" in refusal(Guard())


@pytest.mark.parametrize(
    ("guard", "why"),
    [
        (Guard(min_bytes=200 * GIB), "has less than 200.0 GiB"),
        (Guard(model="SSD*"), "model HARDDISK is not SSD*"),
        (Guard(serial="S2"), "serial S1 is not S2"),
        (Guard(path="*/ata2/*"), "path /devices/pci/ata1/block/sda is not */ata2/*"),
    ],
)
def test_each_wish_that_a_disk_does_not_meet_is_named(guard: Guard, why: str) -> None:
    assert why in refusal(guard, SATA)


@pytest.mark.parametrize(
    "guard", [Guard(model="HARD*"), Guard(serial="S[0-9]"), Guard(path="*/ata1/*"), Guard(min_bytes=100 * GIB)]
)
def test_wishes_choose_among_disks(guard: Guard) -> None:
    assert choose(guard, SATA, USB) == SATA


@pytest.mark.parametrize("wipe", [True, False])
def test_the_card_and_its_copies_are_never_taken(wipe: bool) -> None:
    everything = Guard(transports=tuple(Transport), wipe=wipe)
    card = Disk("mmcblk0", 16 * GIB, Transport.MMC, "SD", "275048", False, CARD.path)
    copy = Contents(partuuids=frozenset({CARD.partuuid}))
    assert "is the boot medium, or a copy of it" in refusal(everything, USB, sdb=copy)
    assert "is the boot medium (CID)" in refusal(everything, Disk(**{**vars(card), "path": "/devices/elsewhere"}))
    assert "is where the boot medium was" in refusal(everything, Disk(**{**vars(card), "serial": ""}))
    assert choose(everything, card, USB, mmcblk0=copy) == USB


@pytest.mark.parametrize(
    "found",
    ["sda1: LVM2_member, LVM physical volume", "sda2: ext4 (not cleanly unmounted)", "partition table (gpt)", "swsuspend"],
)
def test_data_is_destroyed_only_with_wipe(found: str) -> None:
    data = Contents(found=(found,))
    text = refusal(Guard(), SATA, sda=data)
    assert f"holds data: {found}; nothing was written" in text
    assert "wipe = true" in text
    assert choose(Guard(wipe=True), SATA, sda=data) == SATA


def test_a_disk_that_an_earlier_install_of_this_node_laid_out_is_taken_again() -> None:
    table = ("partition table (gpt)", "sda2: ext4")
    for mark in (MarkPart(1, is_void=True), MarkPart(1, is_void=False, node_id=ME)):
        assert choose(Guard(), SATA, sda=Contents(table, (mark,))) == SATA


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        (MarkPart(1, is_void=False, node_id=OTHER), f"a system of another node ({OTHER})"),
        (MarkPart(1, is_void=False, trouble="mark: wrong CRC"), "a mark that cannot be read (mark: wrong CRC)"),
    ],
)
def test_a_mark_of_another_node_or_a_damaged_one_is_data(mark: MarkPart, why: str) -> None:
    contents = Contents(("partition table (gpt)",), (mark,))
    assert why in refusal(Guard(), SATA, sda=contents)
    assert choose(Guard(wipe=True), SATA, sda=contents) == SATA


def test_a_disk_that_cannot_be_read_is_no_blank_one() -> None:
    assert "it cannot be read: EIO" in refusal(Guard(), SATA, sda=Contents(damage="it cannot be read: EIO"))


def test_what_cannot_be_written_is_passed_over() -> None:
    assert "is read-only" in refusal(Guard(), SATA, sda=Contents(read_only=True))
    assert "has no medium in it" in refusal(Guard(), Disk(**{**vars(USB), "size_bytes": 0}))
