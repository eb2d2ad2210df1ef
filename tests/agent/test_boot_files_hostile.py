"""Whatever stands on a disk, a reader of boot files ends, and says what is wrong in its own words."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bootpilot_agent.boot_files import extlinux, grub, kernels, loader_entries
from bootpilot_agent.boot_files.entry import BootFileError, Tree
from bootpilot_agent.boot_files.fstab import find_mount
from bootpilot_agent.boot_files.versions import compare_debian, compare_entries
from bootpilot_agent.confined_tree import ConfinedTree
from tests.fakes.boot_files import put

ROWS: list[tuple[str, str, Callable[[Tree], object]]] = [
    ("extlinux", "/x.conf", lambda tree: extlinux.read_entries(tree, "/x.conf")),
    ("loader entry", "/e/x+1-2.conf", lambda tree: loader_entries.read_entries(tree, "/e", "arm64")),
    ("loader.conf", "/loader.conf", lambda tree: loader_entries.read_entries(tree, "/entries", "arm64")),
    ("grub.cfg", "/grub.cfg", lambda tree: grub.read_menu(tree, "/grub.cfg")),
    ("grubenv", "/grubenv", lambda tree: grub.read_environment(tree, "/grubenv")),
    ("fstab", "/etc/fstab", lambda tree: find_mount(tree, "/boot")),
    ("cmdline", "/etc/kernel/cmdline", kernels.read_command_line),
]
VOCABULARY = """
label linux /vmlinuz include x.conf menu default menuentry submenu { } ' " \\ $ ${ set a=$a$a default= > initrd search options
UUID= /boot ; # if fi version ~ ^ 1 ../ $(root) blscfg function
"""
WORDS = st.sampled_from([*VOCABULARY.split(), "\n", "\0", "# GRUB Environment Block\n"])
TEXTS = st.one_of(st.binary(max_size=300), st.lists(WORDS, max_size=80).map(lambda words: " ".join(words).encode()))


@pytest.mark.parametrize(("name", "path", "read"), ROWS, ids=[row[0] for row in ROWS])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=TEXTS)
def test_any_bytes_are_read_or_refused_by_name(
    name: str, path: str, read: Callable[[Tree], object], content: bytes, tmp_path: Path
) -> None:
    put(tmp_path, path, content)
    put(tmp_path, "/entries/a.conf", "linux /vmlinuz\n")
    with suppress(BootFileError):
        read(ConfinedTree(tmp_path, "sda1"))


@given(one=st.text(max_size=40), other=st.text(max_size=40))
def test_versions_of_any_text_have_an_order(one: str, other: str) -> None:
    for compare in (compare_debian, compare_entries):
        assert (compare(one, other) > 0) is (compare(other, one) < 0)


@pytest.mark.parametrize(
    "content",
    [
        b"set a=xxxxxxxx\n" + b"set a=$a$a\n" * 10000 + b"menuentry $a {\nlinux /v root=x\n}\n",
        b"${" * 400_000,
        b'"\\' * 400_000,
        b"'" * 1_000_000,
        b"menuentry x {\n" * 60_000,
        b"submenu x {\n" * 15,
        b"#" * 1_000_000,
        b"linux " * 100_000,
        b"$a" * 500_000,
    ],
    ids=["doubling", "open variables", "open quote", "quotes", "many blocks", "deep", "comment", "one line", "variables"],
)
def test_what_would_take_for_ever_ends(content: bytes, tmp_path: Path) -> None:
    put(tmp_path, "/grub.cfg", content)
    put(tmp_path, "/grubenv", b"# GRUB Environment Block\n" + content[:1000])
    put(tmp_path, "/x.conf", b"label l\nlinux /v\nappend " + content)
    tree = ConfinedTree(tmp_path, "sda1")
    for read in (lambda: grub.read_menu(tree, "/grub.cfg"), lambda: extlinux.read_entries(tree, "/x.conf")):
        with suppress(BootFileError):
            read()


def test_a_file_of_more_than_a_mebibyte_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "/x", bytes((1 << 20) + 1))
    with pytest.raises(BootFileError, match="/x on sda1: more than 1048576 bytes"):
        ConfinedTree(tmp_path, "sda1").read("/x")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/../secret", "leads out of its partition"),
        ("/boot/../../secret", "leads out of its partition"),
        ("/out", "leads out of its partition"),
        ("/boot/deep/out", "leads out of its partition"),
        ("/loop", "too many links"),
        ("/missing", "No such file"),
        ("/boot", "no plain file"),
        ("/pipe", "no plain file"),
        ("/a\0b", "no path"),
        ("/" + "x/" * 4000, "no path"),
    ],
)
def test_a_path_out_of_the_partition_or_to_no_file_is_refused_by_name(path: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not of this partition")
    top = tmp_path / "top"
    put(top, "/boot/deep/file", "inside")
    (top / "out").symlink_to("../secret")
    (top / "boot/deep/out").symlink_to("../../../secret")
    (top / "loop").symlink_to("loop")
    os.mkfifo(top / "pipe")
    tree = ConfinedTree(top, "sda1")
    assert not tree.is_file(path)
    with pytest.raises(BootFileError, match=words):
        tree.read(path)


def test_links_are_followed_as_the_installed_system_sees_them(tmp_path: Path) -> None:
    put(tmp_path, "/boot/vmlinuz-1", "kernel")
    (tmp_path / "vmlinuz").symlink_to("boot/vmlinuz-1")
    (tmp_path / "absolute").symlink_to("/boot/vmlinuz-1")
    (tmp_path / "b").symlink_to("/boot")
    tree = ConfinedTree(tmp_path, "sda1")
    for path in ("/vmlinuz", "/absolute", "/b/vmlinuz-1", "/b/../b/./vmlinuz-1"):
        assert tree.read(path) == b"kernel"
