"""The written image, read back by the programs that people use for it and by a reader of the tests' own."""

import stat
import subprocess
from pathlib import Path

import pytest

from bootpilot_agent.cpio import character_device, directory, regular, symlink
from initramfs.archive import measure_parts, write_image, write_tree
from initramfs.errors import BuildError
from initramfs.layout import Layout, merged_usr
from initramfs.sizes import size_table
from tests.initramfs.newc import read_newc, unpack

TIME_S = 1_700_000_000


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    program = tmp_path / "program"
    program.write_bytes(bytes(range(256)) * 5000)
    program.chmod(0o700)
    layout = Layout()
    for entry in merged_usr():
        layout.add("init", entry)
    layout.add("init", character_device("dev/console", 5, 1))
    layout.add("agent", regular("opt/agent/settings", b"key = 1\n", 0o600))
    layout.add_file("programs", "usr/bin/program", program)
    layout.add("programs", symlink("usr/bin/alias", "program"))
    return layout


def listing(program: list[str], archive: bytes) -> list[str]:
    done = subprocess.run([*program, "-t"], input=archive, capture_output=True, check=True, timeout=60)
    return done.stdout.decode().splitlines()


@pytest.mark.parametrize("program", [["cpio", "--quiet"], ["busybox", "cpio"]], ids=["GNU", "busybox"])
def test_each_segment_is_an_archive_that_cpio_lists(layout: Layout, tmp_path: Path, program: list[str]) -> None:
    image = tmp_path / "image.zst"
    raw_bytes = write_image(layout, image, TIME_S, "agent")
    archive = unpack(image)
    assert raw_bytes == len(archive)
    first, second = archive[: archive.index(b"TRAILER!!!") + 14], archive[archive.index(b"TRAILER!!!") + 14 :].lstrip(b"\0")
    assert listing(program, first) == [entry.name for entry in layout.of_parts(("init", "programs"))]
    assert listing(program, second) == ["opt", "opt/agent", "opt/agent/settings"]


def test_what_was_put_in_comes_out(layout: Layout, tmp_path: Path) -> None:
    image = tmp_path / "image.zst"
    write_image(layout, image, TIME_S, "agent")
    found = {entry.name: entry for entry in read_newc(unpack(image))}
    assert found["usr/bin/program"].content == (tmp_path / "program").read_bytes()
    assert stat.S_IMODE(found["usr/bin/program"].mode) == 0o755
    assert stat.S_IMODE(found["opt/agent/settings"].mode) == 0o600
    assert found["usr/bin/alias"].content == b"program"
    assert stat.S_ISCHR(found["dev/console"].mode)
    assert {entry.time_s for entry in found.values()} == {TIME_S}


def test_the_part_that_changes_often_comes_last(layout: Layout, tmp_path: Path) -> None:
    image = tmp_path / "image.zst"
    write_image(layout, image, TIME_S, "agent")
    assert read_newc(unpack(image))[-1].name == "opt/agent/settings"


def test_the_same_entries_added_in_another_order_give_the_same_bytes(layout: Layout, tmp_path: Path) -> None:
    other = Layout()
    for name in reversed(list(layout.entries)):
        other.add(layout.parts[name], layout.entries[name])
    write_image(layout, tmp_path / "one.zst", TIME_S, "agent")
    write_image(other, tmp_path / "two.zst", TIME_S, "agent")
    assert (tmp_path / "one.zst").read_bytes() == (tmp_path / "two.zst").read_bytes()


def test_two_parts_that_want_one_name_for_different_things_are_named(layout: Layout) -> None:
    with pytest.raises(BuildError, match="/opt/agent/settings is wanted by agent and by overlay"):
        layout.add("overlay", regular("opt/agent/settings", b"key = 2\n", 0o600))


def test_folders_above_an_entry_come_into_being(layout: Layout) -> None:
    layout.add("deep", regular("a/b/c", b""))
    assert layout.entries["a/b"] == directory("a/b")


def test_a_tree_on_disk_has_what_an_ordinary_user_can_make(layout: Layout, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    write_tree(layout, tree)
    assert (tree / "bin" / "alias").read_bytes() == (tmp_path / "program").read_bytes()
    assert not (tree / "dev" / "console").exists()


def test_the_size_table_names_every_part_and_sums_to_the_image(layout: Layout, tmp_path: Path) -> None:
    image = tmp_path / "image.zst"
    write_image(layout, image, TIME_S, "agent")
    parts = measure_parts(layout, image)
    assert abs(sum(part.compressed_bytes for part in parts) - image.stat().st_size) <= len(parts)
    assert [part.part for part in parts] == ["init", "agent", "programs"]
    table = size_table("amd64 loader", parts).splitlines()
    assert table[0].startswith("amd64 loader")
    assert table[-1].split()[0] == "all"
    assert table[-1].endswith("100%")
