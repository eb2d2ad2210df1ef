"""The reckoning before the first byte: what is needed, what is there, and what a refusal says."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bootpilot_agent.errors import MemoryTooSmallError
from bootpilot_agent.memory import (
    MEBIBYTE,
    Memory,
    Sizes,
    check_fit,
    check_loading,
    loading_bytes,
    read_memory,
    starting_bytes,
    stored_bytes,
)
from bootpilot_agent.plan import Artifact, BootPayload, DtbPolicy, PayloadFile

PLENTY = Memory(8192 * MEBIBYTE, 8192 * MEBIBYTE)


def payload(kernel_mib: int, *initrd_mib: int, unpacked_mib: int = 0, dtb_mib: int = 0, file_mib: int = 0) -> BootPayload:
    return BootPayload(
        profile="p",
        kernel=artifact(kernel_mib),
        initrds=tuple(artifact(size, unpacked_mib) for size in initrd_mib),
        dtb_policy=DtbPolicy.FILE if dtb_mib else DtbPolicy.RUNNING,
        dtb=artifact(dtb_mib) if dtb_mib else None,
        command_line="",
        files=(PayloadFile("/f", artifact(file_mib), 0o644),) if file_mib else (),
    )


def artifact(mib: int, unpacked_mib: int = 0) -> Artifact:
    return Artifact(("/a",), mib * MEBIBYTE, "0" * 64, unpacked_mib * MEBIBYTE)


@pytest.mark.parametrize(("arch", "copies_of_the_initrd"), [("amd64", 3), ("arm64", 3), ("armhf", 2)])
def test_loading_takes_each_copy_into_account(arch: str, copies_of_the_initrd: int) -> None:
    more = loading_bytes(payload(10, 101), arch) - loading_bytes(payload(10, 1), arch)
    assert more == 100 * MEBIBYTE * copies_of_the_initrd


def test_an_amd64_kernel_is_loaded_with_room_to_unpack_itself() -> None:
    assert loading_bytes(payload(120, 1), "amd64") - loading_bytes(payload(20, 1), "amd64") == 100 * MEBIBYTE * 6


def test_a_small_amd64_kernel_is_taken_to_unpack_to_what_debians_does() -> None:
    """Debian's 6.1 bzImage of 7.9 MiB has an init_size of 63.6 MiB; taken for less, kexec was killed for want of memory."""
    assert loading_bytes(payload(8, 1), "amd64") >= (8 + 8 + 64) * MEBIBYTE


def test_what_was_fetched_is_reckoned_again_with_what_the_kernel_itself_says() -> None:
    sizes = Sizes(8 * MEBIBYTE, 10 * MEBIBYTE, MEBIBYTE, kernel_in_memory=64 * MEBIBYTE)
    needed = (8 + 10 + 1 + 64 + 10 + 1 + 12) * MEBIBYTE
    check_loading(sizes, "amd64", Memory(PLENTY.total_bytes, needed))
    with pytest.raises(MemoryTooSmallError, match=r"106.0 MiB needed .* 106.0 MiB available .*which takes 64.0 MiB in memory"):
        check_loading(sizes, "amd64", Memory(PLENTY.total_bytes, needed - 1))


def test_device_tree_and_files_count() -> None:
    assert loading_bytes(payload(10, 1, dtb_mib=1), "arm64") > loading_bytes(payload(10, 1), "arm64")
    assert loading_bytes(payload(10, 1, file_mib=1), "arm64") - loading_bytes(payload(10, 1), "arm64") == 3 * MEBIBYTE


def test_starting_counts_what_the_initrd_unpacks_to() -> None:
    known = starting_bytes(payload(10, 20, unpacked_mib=100), "arm64")
    assert known - starting_bytes(payload(10, 20, unpacked_mib=50), "arm64") == 50 * MEBIBYTE
    assert starting_bytes(payload(10, 20), "arm64") == starting_bytes(payload(10, 20, unpacked_mib=60), "arm64")


def test_a_payload_that_fits_is_let_through() -> None:
    check_fit(payload(33, 40, unpacked_mib=120), "arm64", PLENTY)


def test_one_byte_too_little_is_too_little() -> None:
    wanted = payload(10, 20, unpacked_mib=50)
    needed = loading_bytes(wanted, "amd64")
    check_fit(wanted, "amd64", Memory(PLENTY.total_bytes, needed))
    with pytest.raises(
        MemoryTooSmallError, match=r"MiB needed to load the payload, .* available \(kernel 10.0 MiB, initrds 20.0"
    ):
        check_fit(wanted, "amd64", Memory(PLENTY.total_bytes, needed - 1))


def test_a_payload_that_loads_but_could_not_start_is_refused() -> None:
    wanted = payload(10, 20, unpacked_mib=900)
    with pytest.raises(MemoryTooSmallError, match=r"needed to start the payload, the board has 512\.0 MiB in all") as raised:
        check_fit(wanted, "amd64", Memory(512 * MEBIBYTE, 400 * MEBIBYTE))
    assert raised.value.hint


def test_a_file_system_that_takes_too_little_is_named_before_the_first_byte() -> None:
    wanted = payload(10, 20)
    needed = stored_bytes(wanted)
    check_fit(wanted, "amd64", replace(PLENTY, room_bytes=needed))
    with pytest.raises(
        MemoryTooSmallError, match=r"30\.1 MiB needed to store the payload, the root file system takes 30"
    ) as raised:
        check_fit(wanted, "amd64", replace(PLENTY, room_bytes=needed - 1))
    assert "rootfstype=ramfs" in raised.value.hint


def test_the_room_is_that_of_the_payloads_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:  1000 kB\nMemAvailable:  500 kB\n")
    status = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda folder: status)
    assert read_memory(tmp_path, tmp_path).room_bytes == status.f_bavail * status.f_frsize
    # As a ramfs answers (simple_statfs in fs/libfs.c).
    monkeypatch.setattr(os, "statvfs", lambda folder: os.statvfs_result((4096, 4096, 0, 0, 0, 0, 0, 0, 0, 255)))
    assert read_memory(tmp_path, tmp_path).room_bytes is None


def test_memory_is_read_from_a_boards_tree(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:  1000 kB\nMemFree:  10 kB\nMemAvailable:  500 kB\nHugePages_Total: 0\n")
    assert read_memory(tmp_path) == Memory(1_024_000, 512_000)


def test_a_kernel_without_memavailable_gives_what_is_free(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:  1000 kB\nMemFree:  10 kB\n")
    assert read_memory(tmp_path).available_bytes == 10_240
