"""A card is compared with what was written: what was spoilt is named, what a person may edit is not."""

import subprocess
from pathlib import Path

import pytest

from scripts.sdcard.boards import BOARDS
from scripts.sdcard.build import CardOptions, build_card
from scripts.sdcard.errors import CardError
from scripts.sdcard.verify import verify_card
from tests.sdcard.card_reading import MIB
from tests.sdcard.conftest import MakeLoader

OPTIONS = CardOptions({"server": "http://boot.example:8080"})


@pytest.fixture
def panda(loader_for: MakeLoader, tmp_path: Path) -> Path:
    image = tmp_path / "card.img"
    build_card(BOARDS["pandaboard"], loader_for(BOARDS["pandaboard"]), OPTIONS, image)
    return image


def put(image: Path, name: str, content: bytes) -> None:
    source = image.with_name("to-copy")
    source.write_bytes(content)
    subprocess.run(["mcopy", "-o", "-i", f"{image}@@{4 * MIB}", source, f"::{name}"], check=True, timeout=60)


def flip(image: Path, place: int) -> None:
    with image.open("r+b") as stream:
        stream.seek(place)
        byte = stream.read(1)[0]
        stream.seek(place)
        stream.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("name", ["pandaboard", "imx53-qsb", "cubieboard", "raspberrypi-4", "virt-riscv64", "uefi-arm64"])
def test_a_new_card_has_nothing_wrong(name: str, loader_for: MakeLoader, tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    build_card(BOARDS[name], loader_for(BOARDS[name]), OPTIONS, image)
    findings = verify_card(image)
    assert findings.problems == []
    assert findings.notes == ["boot server: http://boot.example:8080"]
    assert findings.manifest.board == BOARDS[name].name


def test_a_card_larger_than_its_image_has_nothing_wrong(panda: Path) -> None:
    with panda.open("ab") as stream:
        stream.truncate(256 * MIB)
    assert verify_card(panda).problems == []


def test_edited_settings_are_a_note(panda: Path) -> None:
    put(panda, "bootpilot.txt", b"\xef\xbb\xbfserver = 'http://other.example'\r\n")
    findings = verify_card(panda)
    assert findings.problems == []
    assert findings.notes == ["bootpilot.txt was edited since the card was made", "boot server: http://other.example"]


@pytest.mark.parametrize("name", ["pandaboard", "imx53-qsb", "raspberrypi-4", "uefi-arm64"])
def test_a_card_whose_menu_and_settings_ask_for_https_alike_has_nothing_wrong(
    name: str, loader_for: MakeLoader, tmp_path: Path
) -> None:
    image = tmp_path / "card.img"
    build_card(BOARDS[name], loader_for(BOARDS[name]), CardOptions({"server": "https://boot.example"}), image)
    assert verify_card(image).notes == ["boot server: https://boot.example"]


def test_https_that_a_person_wrote_into_the_settings_alone_is_a_note(panda: Path) -> None:
    put(panda, "bootpilot.txt", b"server = 'https://boot.example'\n")
    (note,) = [note for note in verify_card(panda).notes if "command line" in note]
    assert note.endswith("Make the card again with these --settings, or add bootpilot.card_wants=https to its menu")


def test_settings_that_the_agent_would_complain_about_are_a_problem(panda: Path) -> None:
    put(panda, "bootpilot.txt", b"vlan = 5000\n")
    [problem] = verify_card(panda).problems
    assert "vlan" in problem
    assert "1 to 4094" in problem


def test_a_kernel_that_was_exchanged_is_named(panda: Path) -> None:
    put(panda, "vmlinuz", b"another kernel")
    assert verify_card(panda).problems == ["vmlinuz is not what was written (14 bytes, 2100000 written)"]


def test_an_image_that_is_not_there_is_no_matter_for_sfdisk(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="there is no such file or device"):
        verify_card(tmp_path / "card.img")


def test_a_missing_file_is_named(panda: Path) -> None:
    subprocess.run(["mdel", "-i", f"{panda}@@{4 * MIB}", "::initrd.img"], check=True, timeout=60)
    assert verify_card(panda).problems == ["initrd.img is missing"]


def test_raw_firmware_that_was_overwritten_is_named_with_what_the_board_misses(panda: Path) -> None:
    flip(panda, 256 * 512 + 20)
    assert verify_card(panda).problems == [
        "the board would not start MLO at byte 131072: no table of contents with CHSETTINGS",
        "MLO at byte 131072 is not what was written",
    ]


def test_a_script_that_u_boot_would_run_first_is_a_problem(panda: Path) -> None:
    put(panda, "boot.scr", b"anything")
    [problem] = verify_card(panda).problems
    assert problem.startswith("boot.scr lies on the card")


def test_a_partition_that_lost_its_mark_is_a_problem(panda: Path) -> None:
    with panda.open("r+b") as stream:
        stream.seek(446)
        stream.write(b"\0")
    [problem] = verify_card(panda).problems
    assert "not marked as active" in problem


def test_another_disk_id_is_a_problem_because_the_loader_would_not_find_its_card(panda: Path) -> None:
    flip(panda, 440)
    [problem] = verify_card(panda).problems
    assert problem.startswith("PARTUUID is ")


@pytest.mark.parametrize("content", [b"", bytes(1 << 20)])
def test_what_is_no_card_is_refused(content: bytes, tmp_path: Path) -> None:
    image = tmp_path / "none.img"
    image.write_bytes(content)
    with pytest.raises(CardError, match="no partition table"):
        verify_card(image)


def test_a_card_of_somebody_else_is_refused(panda: Path) -> None:
    subprocess.run(["mdel", "-i", f"{panda}@@{4 * MIB}", "::manifest.json"], check=True, timeout=60)
    with pytest.raises(CardError, match=r"there is no manifest\.json on it"):
        verify_card(panda)
