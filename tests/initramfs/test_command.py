"""The command line of build-initramfs, and how the builder says that something failed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from initramfs.__main__ import BUILDERS
from initramfs.architectures import ARCHITECTURES
from initramfs.build import build_loader
from initramfs.cache import bootpilot_cache, cached_folder, key_of
from initramfs.chroot import chroot_argv
from initramfs.command import run
from initramfs.errors import BuildError
from initramfs.image_folder import builder_digests
from initramfs.options import chosen_groups
from initramfs.wheels import LOCK, pinned_versions

ROOT = Path(__file__).parents[2]


def build_initramfs(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "initramfs", *arguments]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60, env={"PYTHONPATH": "agent"})


def test_help_names_architectures_options_and_the_mirror_setting() -> None:
    text = build_initramfs("--help").stdout
    for word in (*ARCHITECTURES, "--output", "--workload", "--refresh", "--drivers", "BOOTPILOT_DEBIAN_MIRROR"):
        assert word in text


def test_an_unknown_architecture_is_refused_with_the_known_ones() -> None:
    done = build_initramfs("mips")
    assert done.returncode == 2
    assert "armhf" in done.stderr


def test_an_unknown_architecture_in_a_call_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BuildError) as raised:
        build_loader("mips")
    assert raised.value.hint == "known are amd64, arm64, armhf, riscv64"


def test_optional_drivers_are_added_to_the_standard_ones() -> None:
    assert {group.name for group in chosen_groups(("btrfs",))} - {group.name for group in chosen_groups(())} == {"btrfs"}


def test_an_unknown_driver_group_is_refused_with_the_optional_ones() -> None:
    with pytest.raises(BuildError) as raised:
        chosen_groups(("zfs",))
    assert "btrfs" in raised.value.hint


def test_a_failed_program_is_told_with_a_command_to_paste_and_the_end_of_its_words() -> None:
    with pytest.raises(BuildError) as raised:
        run(["sh", "-c", "echo first; echo 'it broke' >&2; exit 4"], timeout_s=10, environment={"A": "b c"}, cwd=Path("/usr"))
    assert "exit code 4 from: cd /usr && A='b c' sh -c" in raised.value.message
    assert "it broke" in raised.value.message


def test_a_program_that_is_not_installed_is_named() -> None:
    with pytest.raises(BuildError, match="no-such-program is not installed"):
        run(["no-such-program"], timeout_s=10)


def test_a_program_that_does_not_end_is_ended() -> None:
    with pytest.raises(BuildError, match="no end after 0 s"):
        run(["sleep", "60"], timeout_s=0.2)


def test_a_root_is_entered_by_a_command_that_a_person_can_read() -> None:
    argv = chroot_argv(ARCHITECTURES["arm64"], Path("/root-of-arm64"), ["ls", "-l"], Path("/here"), {"A": "1"}, "/bin/true")
    assert argv[:6] == ["unshare", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"]
    assert argv[6] == "sh"
    assert argv[8:] == ["qemu-aarch64", "/root-of-arm64", "/here", "/bin/true", "A=1", "chroot", "/root-of-arm64", "ls", "-l"]


def test_a_half_made_folder_is_never_seen_and_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise BuildError("broke in the middle")

    with pytest.raises(BuildError):
        cached_folder("things", "key", fail)
    made = cached_folder("things", "key", lambda folder: (folder / "whole").touch())
    assert [path.name for path in made.iterdir()] == ["whole"]
    assert cached_folder("things", "key", fail) == made


def test_what_another_build_is_unpacking_is_not_taken_for_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    years_ago = 1_600_000_000.0

    def unpack(folder: Path) -> None:
        (folder / "first").touch()
        os.utime(folder, (years_ago, years_ago))  # as dpkg-deb does, by the date in the package
        cached_folder("things", "other", lambda other: (other / "whole").touch())
        (folder / "second").touch()
        os.utime(folder, (years_ago, years_ago))

    made = cached_folder("things", "key", unpack)
    cached_folder("things", "third", lambda other: (other / "whole").touch())
    assert sorted(path.name for path in made.iterdir()) == ["first", "second"]


def test_what_nobody_used_for_weeks_is_forgotten_when_something_new_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    old = cached_folder("things", "old", lambda folder: (folder / "whole").touch())
    os.utime(old, (1_600_000_000.0, 1_600_000_000.0))
    new = cached_folder("things", "new", lambda folder: (folder / "whole").touch())
    assert (old.exists(), new.exists()) == (False, True)


def test_the_cache_lies_where_the_desktop_rules_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert bootpilot_cache() == tmp_path / "cache" / "bootpilot"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert bootpilot_cache() == tmp_path / "home" / ".cache" / "bootpilot"


def test_a_key_changes_with_any_input_but_not_with_the_order_of_fields() -> None:
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert key_of({"a": 1, "b": [2]}) != key_of({"a": 1, "b": [3]})


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("image_layout.py", {"loader", "workload", "installer", "rescue"}),
        ("overlay/init", {"loader", "installer", "rescue"}),
        ("ram_systems.py", {"workload", "installer", "rescue"}),
        ("ram_programs.py", {"installer", "rescue"}),
        ("workload/init", {"workload", "rescue"}),
        ("loader.py", {"loader"}),
        ("installer.py", {"installer"}),
        ("rescue.py", {"rescue"}),
    ],
)
def test_a_change_of_a_file_makes_only_those_images_anew_that_are_made_of_it(name: str, images: set[str]) -> None:
    assert {image for image in BUILDERS if name in builder_digests(image)} == images


def test_everything_frozen_is_pinned_by_hash() -> None:
    lock = LOCK.read_text()
    names = [line.split(">")[0] for line in LOCK.with_suffix(".in").read_text().splitlines() if not line.startswith("#")]
    assert set(names) <= set(pinned_versions(lock))
    lines = lock.split("\n")
    assert all("--hash=sha256:" in lines[index + 1] for index, line in enumerate(lines) if "==" in line)
    assert "index-url" not in lock
