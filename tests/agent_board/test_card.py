"""Finding the boot medium and reading what stands on it. `mount` is stood in for by mtools: tests have no loop devices."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bootpilot_agent.card import find_card
from bootpilot_agent.card_settings import CARD_FILE, read_card
from bootpilot_agent.kernel_command_line import read_command_line
from bootpilot_agent.settings import merge

BOARDS = Path(__file__).parents[1] / "data/boards"
PARTUUID = "9730496b-01"
# Copies the one file out of the FAT image in place of mounting it; says what it was called with.
MOUNT = """#!/bin/sh
echo "$*" >>"$HOME/calls"
for word; do device=$point; point=$word; done
MTOOLS_SKIP_CHECK=1 mcopy -n -i "$device" ::/{file} "$point/" 2>"$HOME/errors" || ! grep -v "not found" "$HOME/errors"
"""
UMOUNT = '#!/bin/sh\necho "umount" >>"$HOME/calls"\nrm -f "$1"/*\n'


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Raspberry Pi's tree, with a FAT file system in place of its card's first partition."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("mount", MOUNT.replace("{file}", CARD_FILE)), ("umount", UMOUNT)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    root = tmp_path / "root"
    shutil.copytree(BOARDS / "raspberrypi-4/root", root, symlinks=True)
    subprocess.run(["mkfs.vfat", "-C", str(root / "dev/mmcblk0p1"), "1024"], check=True, capture_output=True)
    return root


def put_settings(root: Path, text: bytes) -> None:
    (root / CARD_FILE).write_bytes(text)
    subprocess.run(["mcopy", "-i", str(root / "dev/mmcblk0p1"), str(root / CARD_FILE), "::/"], check=True)


def test_the_card_is_found_by_its_partuuid_and_its_settings_are_read(board: Path) -> None:
    put_settings(board, b'server = "http://boot.example"\n')
    card = find_card(PARTUUID, board, wait_s=0)
    assert card is not None
    assert (card.device, card.cid, card.problem) == ("/dev/mmcblk0p1", "035344534333324780a1b2c3d4014a00", "")
    assert card.disk_path == "/devices/platform/emmc2bus/fe340000.mmc/mmc_host/mmc0/mmc0:aaaa/block/mmcblk0"
    assert merge(read_command_line(""), read_card(card.settings_text))[0].servers == ("http://boot.example",)


def test_it_is_mounted_read_only_and_unmounted_and_nothing_on_it_changes(board: Path) -> None:
    put_settings(board, b"vlan = 3\n")
    before = (board / "dev/mmcblk0p1").read_bytes()
    find_card(PARTUUID, board, wait_s=0)
    calls = (board.parent / "calls").read_text().splitlines()
    assert calls[0].startswith(f"-t vfat -o ro,nosuid,nodev,noexec {board}/dev/mmcblk0p1 ")
    assert calls[1:] == ["umount"]
    assert (board / "dev/mmcblk0p1").read_bytes() == before


def test_a_card_without_a_settings_file_is_still_the_card(board: Path) -> None:
    card = find_card(PARTUUID, board, wait_s=0)
    assert card is not None
    assert (card.settings_text, card.problem) == (b"", "no bootpilot.txt on the card (mmcblk0p1)")


def test_a_card_with_a_broken_file_system_is_still_the_card(board: Path) -> None:
    (board / "dev/mmcblk0p1").write_bytes(b"\xff" * 4096)
    card = find_card(PARTUUID, board, wait_s=0)
    assert card is not None
    assert card.settings_text == b""
    assert card.problem.startswith("bootpilot.txt on the card (mmcblk0p1) cannot be read: mount -t vfat")


def test_a_settings_file_of_a_megabyte_is_read_only_so_far_that_its_length_is_noticed(board: Path) -> None:
    subprocess.run(["mkfs.vfat", "-C", str(board / "dev/big"), "4096"], check=True, capture_output=True)
    (board / "dev/big").rename(board / "dev/mmcblk0p1")
    put_settings(board, b"vlan = 3\n#" + b"x" * (1 << 20))
    card = find_card(PARTUUID, board, wait_s=0)
    assert card is not None
    assert len(card.settings_text) == 64 * 1024 + 1
    settings, problems = merge(read_command_line(""), read_card(card.settings_text))
    assert (settings.vlan, len(problems)) == (3, 1)


def test_a_card_that_appears_late_is_waited_for_while_drivers_go_on_loading(board: Path) -> None:
    put_settings(board, b"vlan = 3\n")
    (board / "sys/block/mmcblk0").rename(board / "late")
    (board / "sys/block/sda").unlink()
    polls = []

    def load_drivers(seconds: float) -> None:
        polls.append(seconds)
        if len(polls) == 3:
            (board / "late").rename(board / "sys/block/mmcblk0")

    card = find_card(PARTUUID, board, wait_s=60, poll=load_drivers)
    assert card is not None
    assert len(polls) == 3


def test_a_card_that_never_appears_is_no_card(board: Path) -> None:
    assert find_card("00000000-01", board, wait_s=0) is None
    assert find_card("9730496b-02", board, wait_s=0) is None
