"""The bench's arithmetic and the yardstick's image: what can be checked without booting anything."""

import io
import stat
from pathlib import Path

import pytest

from bootpilot_agent import traits
from bootpilot_agent.cpio import character_device, directory, regular, symlink, write_cpio
from scripts.benchmark.__main__ import KEXEC_FLAGS
from scripts.benchmark.baseline import padded_initrd, read_cpio, without_agent
from scripts.benchmark.board_rows import BASELINES, BoardRow, render_boards, render_loaders
from scripts.benchmark.boards import chosen_machines
from scripts.benchmark.measure import HOPELESS, Boot, smallest_memory_mib
from scripts.benchmark.table import at_least, at_most, median, render
from scripts.lab.errors import LabError
from scripts.lab.machines import BY_BOARD

ENTRIES = [
    character_device("dev/console", 5, 1),
    regular("init", b"#!/bin/sh\n", 0o755),
    directory("opt/bootpilot"),
    regular("opt/bootpilot/agent", b"agent", 0o755),
    regular("opt/bootpilot/_internal/libz.so.1", b"library"),
    symlink("usr/lib/libz.so.1", "/opt/bootpilot/_internal/libz.so.1"),
    symlink("bin", "usr/bin"),
]


def archive(*entries: object) -> bytes:
    stream = io.BytesIO()
    write_cpio(entries, stream)  # type: ignore[arg-type]
    return stream.getvalue()


def test_archives_joined_together_are_read_to_the_end() -> None:
    joined = archive(*ENTRIES[:3]) + b"\0" * 8 + archive(*ENTRIES[3:])
    assert list(read_cpio(joined)) == ENTRIES


def test_what_is_no_archive_is_refused_with_its_place() -> None:
    with pytest.raises(ValueError, match="no newc header at byte 0"):
        list(read_cpio(b"gzip or so"))


def test_the_yardstick_has_everything_but_the_agent_and_its_libraries_stay_usable() -> None:
    left = {entry.name: entry for entry in without_agent(ENTRIES)}
    assert sorted(left) == ["bin", "dev/console", "usr/lib/libz.so.1"]
    assert (left["usr/lib/libz.so.1"].content, stat.S_ISREG(left["usr/lib/libz.so.1"].mode)) == (b"library", True)


@pytest.mark.parametrize("size_bytes", [8_000_000, 1_000_004])
def test_a_payload_has_exactly_the_size_asked_for_and_is_a_readable_archive(size_bytes: int, tmp_path: Path) -> None:
    initrd = tmp_path / "initrd"
    initrd.write_bytes(archive(*ENTRIES) + b"\0" * 3)
    padded = padded_initrd(initrd, size_bytes, tmp_path / "padded").read_bytes()
    assert len(padded) == size_bytes
    assert [entry.name for entry in read_cpio(padded)][-1] == "padding"


def test_the_yardstick_calls_kexec_as_the_agent_does() -> None:
    assert traits.KEXEC_FLAGS["amd64"] == KEXEC_FLAGS


@pytest.mark.parametrize("needed", [97, 176, 200, 1024])
def test_the_smallest_memory_is_found_to_16_mib(needed: int) -> None:
    found = smallest_memory_mib(lambda mib: mib >= needed, 80, 1024, 16)
    assert needed <= found < needed + 16


def test_a_payload_for_which_no_memory_is_enough_is_said() -> None:
    with pytest.raises(LabError, match="does not boot with 1024 MiB"):
        smallest_memory_mib(lambda _: False, 80, 1024, 16)


def test_checking_counts_as_part_of_the_download() -> None:
    assert Boot(0, 0, download_s=2.0, verified_s=2.0, bytes_down=8_000_000).checked_bytes_per_s == 2_000_000


def test_the_table_has_ratios_and_says_what_missed_its_aim() -> None:
    rows = [at_most("start", "s", 10.0, 12.5, 1.2), at_least("download", "MB/s", 100.0, 95.0, 0.9)]
    assert median([3, 1, 2]) == 2
    assert render(rows) == (
        "| | unit | script | agent | ratio | aim | |\n|---|---|---:|---:|---:|---|---|\n"
        "| start | s | 10.00 | 12.50 | 1.25 | at most 1.20 of the script | MISSED |\n"
        "| download | MB/s | 100 | 95.00 | 0.95 | at least 0.90 of the script | met |\n"
    )


@pytest.mark.parametrize("line", ["Freeing initrd memory: 7100K", "PM: hibernation: Registered nosave memory: [mem 0x0-0xfff]"])
def test_what_a_kernel_says_of_its_memory_when_all_is_well_ends_no_boot(line: str) -> None:
    assert HOPELESS.search(f"[    1.046466] {line}") is None


@pytest.mark.parametrize(
    "line",
    [
        "[    4.10] FAILED at memory: the payload needs 90 MiB",
        "[    1.2] Kernel panic - not syncing: System is deadlocked on memory",
        "[    9.1] Out of memory: Killed process 77 (bootpilot-agent)",
    ],
)
def test_a_boot_that_will_come_to_nothing_is_not_waited_for(line: str) -> None:
    assert HOPELESS.search(line)


def test_boards_stand_beside_the_generic_one_of_their_architecture_by_their_medians() -> None:
    rows = [
        BoardRow("virt-armhf", "armhf", 64_000_000, 21_000_000, (20.0,), (40.0,)),
        BoardRow("orangepi-pc", "armhf", 64_000_000, 22_500_000, (30.0, 90.0, 31.0), (60.0, 61.0, 20.0)),
    ]
    assert render_boards(rows).splitlines()[2:] == [
        "| virt-armhf | virt-armhf | 64.0 | 21.0 | 20.0 | 1.00 | 40.0 | 1.00 |",
        "| orangepi-pc | virt-armhf | 64.0 | 22.5 | 31.0 | 1.55 | 60.0 | 1.50 |",
    ]


def test_a_loader_above_its_line_is_called_so() -> None:
    table = render_loaders({"arm64": 11_990_000, "armhf": 12_000_001})
    assert "| arm64 | 11.99 | at most 12 MB | met |" in table
    assert "| armhf | 12.00 | at most 12 MB | MISSED |" in table


def test_a_board_that_is_measured_brings_the_one_it_is_compared_with() -> None:
    assert list(chosen_machines(["orangepi-pc"])) == ["virt-armhf", "orangepi-pc"]
    assert list(chosen_machines([])) == list(BY_BOARD)
    assert set(BASELINES) == {machine.arch for machine in BY_BOARD.values()}
    with pytest.raises(LabError, match="QEMU models no AM335x"):
        chosen_machines(["beaglebone-black"])
