"""Archives -> files of a folder, as GNU tar and Python's tarfile make them; and all that must not be in one."""

import contextlib
import io
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootpilot_install.errors import ImageError, InstallError
from bootpilot_install.tar_format import TarReader
from bootpilot_install.tree import Tree
from bootpilot_install.unpacking import Unpacker
from tests.fakes.root_archives import SYSTEM_TIME_S, Archive, small_system


def unpack(raw: bytes, target: Path) -> list[str]:
    """What was said."""
    said: list[str] = []
    with Tree(target) as tree:
        unpacker = Unpacker(tree, said.append)
        unpacker.unpack(io.BytesIO(raw).read)
        unpacker.finish()
    return said


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A tree with a folder beside it that nothing may reach."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/precious").write_text("as it was")
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def test_owners_modes_times_and_links_are_kept(target: Path) -> None:
    archive = (
        small_system()
        .file("./srv/irina/.profile", "x", uid=1000, gid=1001)
        .hard_link("./srv/irina/same", "./srv/irina/.profile")
    )
    unpack(archive.bytes(), target)
    profile = (target / "srv/irina/.profile").stat()
    assert (profile.st_uid, profile.st_gid, profile.st_mtime) == (1000, 1001, SYSTEM_TIME_S)
    assert profile.st_nlink == 2
    assert stat.S_IMODE((target / "tmp").stat().st_mode) == 0o1777
    assert stat.S_IMODE((target / "usr/bin/passwd").stat().st_mode) == 0o4755
    assert (target / "lib").readlink() == Path("usr/lib")
    assert (target / "etc").stat().st_mtime == SYSTEM_TIME_S


@pytest.mark.parametrize("form", ["gnu", "posix", "ustar", "oldgnu", "v7"])
def test_every_format_of_gnu_tar_is_read(target: Path, tmp_path: Path, form: str) -> None:
    source = tmp_path / "source"
    deep = source / ("d" * 60)
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(bytes(range(256)) * 20)
    (source / "link").symlink_to("d" * 60 + "/file")
    if form in ("gnu", "posix", "oldgnu"):
        (deep / ("n" * 200)).write_text("a long name")
        (source / "far").symlink_to("x" * 300)
    raw = subprocess.run(["tar", "-C", str(source), f"--format={form}", "-c", "."], capture_output=True, check=True).stdout
    unpack(raw, target)
    assert (
        subprocess.run(["diff", "-r", "--no-dereference", str(source), str(target)], check=True, capture_output=True).stdout
        == b""
    )


@pytest.mark.parametrize("form", [("gnu", ""), ("posix", "0.0"), ("posix", "0.1"), ("posix", "1.0")])
def test_sparse_files_keep_their_holes(target: Path, tmp_path: Path, form: tuple[str, str]) -> None:
    holes = tmp_path / "holes"
    with holes.open("wb") as file:
        for index in range(30):
            file.seek(index << 20)
            file.write(b"data %d" % index)
        file.truncate(64 << 20)
    version = [f"--sparse-version={form[1]}"] if form[1] else []
    argv = ["tar", "-C", str(tmp_path), "--sparse", f"--format={form[0]}", *version, "-c", "holes"]
    raw = subprocess.run(argv, capture_output=True, check=True).stdout
    assert len(raw) < 1 << 20
    unpack(raw, target)
    assert (target / "holes").read_bytes() == holes.read_bytes()
    assert (target / "holes").stat().st_blocks * 512 < 2 << 20


def test_extended_attributes_are_kept(target: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "ping").write_bytes(b"x")
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(source / "ping", "security.capability", capability)
    os.setxattr(source, "user.note", b"of a folder")
    argv = ["tar", "-C", str(source), "--xattrs", "--xattrs-include=*", "--format=posix", "-c", "."]
    unpack(subprocess.run(argv, capture_output=True, check=True).stdout, target)
    assert os.getxattr(target / "ping", "security.capability") == capability
    assert os.getxattr(target, "user.note") == b"of a folder"


def test_a_member_may_go_through_a_link_that_stays_in_the_tree(target: Path) -> None:
    unpack(Archive().folder("usr").folder("usr/lib").link("lib", "usr/lib").file("lib/x", "y").bytes(), target)
    assert (target / "usr/lib/x").read_text() == "y"


def test_a_later_member_takes_the_place_of_an_earlier_one(target: Path) -> None:
    unpack(
        Archive().file("a", "one").link("a", "b").file("a", "three").file("d", "x").folder("d").file("d/e", "f").bytes(), target
    )
    assert (target / "a").read_text() == "three"
    assert (target / "d/e").read_text() == "f"


def test_what_dev_has_in_every_system_is_passed_over(target: Path) -> None:
    unpack(
        small_system().device("./dev/null", tarfile.CHRTYPE, 1, 3).device("./dev/console", tarfile.CHRTYPE, 5, 1).bytes(),
        target,
    )
    assert list((target / "dev").iterdir()) == []


HOSTILE = {
    "an absolute name": (Archive().file("/outside/precious", "x"), "/outside/precious: its name is absolute"),
    "a name upwards": (Archive().file("../outside/precious", "x"), "../outside/precious: its name leads upwards"),
    "upwards in the middle": (Archive().file("a/../../outside/precious", "x"), "leads upwards"),
    "through a link upwards": (
        Archive().link("way", "../outside").file("way/precious", "x"),
        "way/precious: it leads out of the tree",
    ),
    "through an absolute link": (
        Archive().link("way", "/var").file("way/precious", "x"),
        "way/precious: it leads out of the tree",
    ),
    "through two links": (
        Archive().folder("a").link("a/up", "..").link("out", "a/up/../outside").file("out/precious", "x"),
        "out/precious: it leads out of the tree",
    ),
    "a folder through a link": (Archive().link("way", "../outside").folder("way/more"), "way/more/: it leads out of the tree"),
    "through a link to itself": (Archive().link("way", "way").file("way/x", "x"), "way/x, where it cannot be"),
    "through a file": (Archive().file("way", "x").file("way/x", "x"), "way/x, where it cannot be"),
    "an absolute hard link": (Archive().hard_link("x", "/etc/passwd"), "the hard link's target /etc/passwd is absolute"),
    "a hard link upwards": (Archive().hard_link("x", "../outside/precious"), "leads upwards"),
    "a hard link through a link": (
        Archive().link("way", "../outside").hard_link("x", "way/precious"),
        "it leads out of the tree",
    ),
    "a hard link to nothing": (Archive().hard_link("x", "nothing"), "which is not there before it"),
    "a disk": (Archive().device("dev/sda", tarfile.BLKTYPE, 8, 0), "dev/sda: a block device (8:0)"),
    "the memory": (Archive().device("dev/mem", tarfile.CHRTYPE, 1, 1), "dev/mem: a character device (1:1)"),
    "null elsewhere": (Archive().device("etc/null", tarfile.CHRTYPE, 1, 3), "etc/null: a character device (1:3)"),
    "the disk as null": (Archive().device("dev/null", tarfile.BLKTYPE, 1, 3), "dev/null: a block device"),
    "a name too long": (Archive().file("n" * 300, "x"), "is no file name"),
    "a folder with content": (Archive().file("a/", "x"), "is a folder with content"),
    "the tree as a link": (Archive().link(".", "../outside"), "the tree itself as a symbolic link"),
    "nothing": (Archive(), "the archive is empty"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_must_not_be_in_an_archive_is_refused_by_name_and_nothing_outside_changes(target: Path, case: str) -> None:
    archive, expected = HOSTILE[case]
    with pytest.raises(ImageError) as caught:
        unpack(archive.bytes(), target)
    assert expected in caught.value.message
    outside = target.parent / "outside"
    assert [(path.name, path.read_text()) for path in outside.iterdir()] == [("precious", "as it was")]


def test_a_link_to_anywhere_is_content_and_is_not_followed(target: Path) -> None:
    unpack(Archive().link("a", "/etc/passwd").link("b", "../outside").file("a", "mine").bytes(), target)
    assert (target / "a").read_text() == "mine"
    assert (target / "b").readlink() == Path("../outside")


@pytest.mark.parametrize("cut", [1, 511, 512, 700, 1024, 1600, 2048, 5000])
def test_a_truncated_archive_is_told(target: Path, cut: int) -> None:
    with pytest.raises(ImageError, match="it ends"):
        unpack(Archive().file("a", b"x" * 700).file("b", b"y" * 3000).bytes()[:cut], target)


@given(st.binary(max_size=2048))
def test_any_bytes_are_members_or_a_named_error(raw: bytes) -> None:
    reader = TarReader(io.BytesIO(raw).read)
    with contextlib.suppress(ImageError):
        for member in reader.members():
            list(reader.content(member))


BASE = small_system().file("./" + "n" * 150, b"z" * 900).bytes()[:12000]


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(BASE) - 1), st.integers(0, 255)), max_size=8), st.booleans())
def test_a_damaged_archive_gives_files_or_a_named_error_and_stays_inside(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], mended: bool
) -> None:
    raw = bytearray(BASE)
    for position, value in changes:
        raw[position] = value
    if mended:  # past the checksums, to what they guard
        for start in range(0, len(raw) - 511, 512):
            raw[start + 148 : start + 156] = b"%06o\0 " % (
                sum(raw[start : start + 148]) + 256 + sum(raw[start + 156 : start + 512])
            )
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "target").mkdir()
    with contextlib.suppress(InstallError):
        unpack(bytes(raw), folder / "target")
    assert [path.name for path in folder.iterdir()] == ["target"]
