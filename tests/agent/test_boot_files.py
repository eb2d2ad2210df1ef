"""Boot files of installed systems: those that Debian's own generators wrote, others' written by hand, and wrong ones."""

from pathlib import Path

import pytest

from bootpilot_agent.boot_files import extlinux, grub, loader_entries
from bootpilot_agent.boot_files.entry import BootFileError, Entry
from bootpilot_agent.boot_files.fstab import find_mount
from bootpilot_agent.boot_files.versions import compare_debian, compare_entries
from bootpilot_agent.confined_tree import ConfinedTree
from tests.fakes.boot_files import first, lay_out, menus, put

NEW, OLD = "6.1.0-21-arm64", "6.1.0-9-arm64"
ROOT = "root=UUID=0a1b2c3d-1111-4222-8333-444455556666"


def kernels_of(found: list[Entry] | BootFileError) -> list[str]:
    assert isinstance(found, list)
    return [entry.kernel for entry in found]


def test_grub_mkconfigs_file_starts_its_first_entry(tmp_path: Path) -> None:
    entry = first(lay_out("debian-grub", tmp_path))
    assert (entry.kernel, entry.initrds) == (f"/boot/vmlinuz-{NEW}", (f"/boot/initrd.img-{NEW}",))
    assert entry.command_line == f"{ROOT} ro console=ttyS0 quiet"
    assert entry.file_system == "0a1b2c3d-1111-4222-8333-444455556666"
    assert "Debian GNU/Linux" in entry.source


def test_grubs_saved_default_counts_also_with_a_boot_partition_of_its_own(tmp_path: Path) -> None:
    system = lay_out("debian-grub-saved-boot-partition", tmp_path / "system")
    boot = (system / "boot").rename(tmp_path / "boot")
    assert find_mount(ConfinedTree(system, "system"), "/boot") == "UUID=0a1b2c3d-7777-4888-8999-aaaabbbbcccc"
    entry = first(system, boot)
    assert (entry.kernel, entry.initrds) == (f"/vmlinuz-{OLD}", (f"/initrd.img-{OLD}",))
    assert entry.file_system == "0a1b2c3d-7777-4888-8999-aaaabbbbcccc"


def test_u_boot_menus_extlinux_conf_names_the_folder_of_trees(tmp_path: Path) -> None:
    entry = first(lay_out("debian-extlinux", tmp_path))
    assert (entry.kernel, entry.initrds) == (f"/boot/vmlinuz-{NEW}", (f"/boot/initrd.img-{NEW}",))
    assert entry.command_line == f"{ROOT} ro console=ttyS0,115200"
    assert entry.dtb_folder == f"/usr/lib/linux-image-{NEW}/"


def test_kernel_installs_entries_start_the_newest_version(tmp_path: Path) -> None:
    (found,) = menus(lay_out("debian-loader-entries", tmp_path))
    folder = "/boot/0123456789abcdef0123456789abcdef"
    assert kernels_of(found) == [f"{folder}/{NEW}/linux", f"{folder}/{OLD}/linux"]
    assert isinstance(found, list)
    assert found[0].initrds == (f"{folder}/{NEW}/initrd",)
    assert found[0].command_line.startswith(f"{ROOT} ro console=ttyAMA0")


def test_ubuntus_entry_brings_several_initrds_and_nothing_else_of_the_menu_counts(tmp_path: Path) -> None:
    (found,) = menus(lay_out("ubuntu-grub", tmp_path))
    assert kernels_of(found) == ["/boot/vmlinuz-6.8.0-31-generic", "/boot/vmlinuz-6.8.0-22-generic"]
    assert isinstance(found, list)
    assert found[0].initrds == ("/boot/intel-ucode.img", "/boot/initrd.img-6.8.0-31-generic")
    assert found[0].command_line.endswith("console=tty0 dyndbg=file drivers/x +p")


def test_fedoras_entries_follow_grubs_environment(tmp_path: Path) -> None:
    boot = lay_out("fedora-loader-entries", tmp_path) / "boot"
    found = menus(boot)[0]
    assert kernels_of(found) == ["/vmlinuz-6.8.5-301.fc40.aarch64", "/vmlinuz-6.11.4-201.fc40.aarch64"]
    assert isinstance(found, list)
    assert found[0].initrds == ("/initramfs-6.8.5-301.fc40.aarch64.img",)
    assert found[0].command_line == f"{ROOT} ro rootflags=subvol=root console=ttyS0"


def test_the_order_is_extlinux_loader_entries_grub_kernels(tmp_path: Path) -> None:
    for case in ("debian-grub", "debian-extlinux", "debian-loader-entries"):
        lay_out(case, tmp_path)
    sources = [found[0].source for found in menus(tmp_path, command_line="ro") if isinstance(found, list)]
    places = ("/boot/extlinux/", "/boot/loader/", "/boot/grub/", "/boot/vmlinuz")
    assert [source.startswith(place) for source, place in zip(sources, places, strict=True)] == [True] * 4


def test_a_broken_file_is_named_and_the_next_one_counts(tmp_path: Path) -> None:
    put(lay_out("debian-grub", tmp_path), "/boot/extlinux/extlinux.conf", "default l0\nlabel l0\n")
    broken, good = menus(tmp_path)
    assert str(broken) == "/boot/extlinux/extlinux.conf: no label with a kernel in it"
    assert kernels_of(good)[0] == f"/boot/vmlinuz-{NEW}"


EXTLINUX = """
# a comment
TIMEOUT 10
DEFAULT second
menu title boards
label first
  kernel vmlinuz-1
label second
  menu label the second
  LINUX ../vmlinuz-2
  initrd /a.img,/b.img
  fdt /dtbs/board.dtb
  fdtoverlays /o/1.dtbo /o/2.dtbo
  append root=/dev/sda1 ${bootargs} ro
include more.conf
"""


def test_extlinux_reads_as_u_boot_does(tmp_path: Path) -> None:
    put(tmp_path, "/extlinux/extlinux.conf", EXTLINUX)
    put(tmp_path, "/extlinux/more.conf", "label third\n linux /vmlinuz-3\n menu default\n")
    third, first_label, second = extlinux.read_entries(ConfinedTree(tmp_path, "sda1"), "/extlinux/extlinux.conf")
    assert third.kernel == "/vmlinuz-3"
    assert first_label.kernel == "/extlinux/vmlinuz-1"
    assert second == Entry(
        source="/extlinux/extlinux.conf: label second",
        kernel="/extlinux/../vmlinuz-2",
        initrds=("/a.img", "/b.img"),
        command_line="root=/dev/sda1 ro",
        dtb="/dtbs/board.dtb",
        overlays=("/o/1.dtbo", "/o/2.dtbo"),
    )


def test_a_file_that_includes_itself_ends(tmp_path: Path) -> None:
    put(tmp_path, "/extlinux/extlinux.conf", "include extlinux.conf\n" * 5)
    with pytest.raises(BootFileError, match="included too deep"):
        extlinux.read_entries(ConfinedTree(tmp_path, "sda1"), "/extlinux/extlinux.conf")


def put_entry(folder: Path, name: str, **keys: str) -> None:
    lines = {"linux": f"/{name}/linux", "options": "ro", **{key.replace("_", "-"): value for key, value in keys.items()}}
    put(folder, f"/loader/entries/{name}.conf", "".join(f"{key} {value}\n" for key, value in lines.items()))


def names_of(folder: Path, arch: str = "arm64") -> list[str]:
    entries = loader_entries.read_entries(ConfinedTree(folder, "sda1"), "/loader/entries", arch)
    return [entry.source.rpartition("/")[2].removesuffix(".conf") for entry in entries]


def test_entries_are_sorted_as_the_specification_says(tmp_path: Path) -> None:
    put_entry(tmp_path, "plain-2")
    put_entry(tmp_path, "plain-10")
    put_entry(tmp_path, "a", sort_key="fedora", version="1")
    put_entry(tmp_path, "b", sort_key="debian", version="9")
    put_entry(tmp_path, "c", sort_key="debian", version="10")
    put_entry(tmp_path, "used-up+0-3", sort_key="aaa", version="99")
    put_entry(tmp_path, "other", sort_key="aaa", architecture="x64")
    assert names_of(tmp_path) == ["c", "b", "a", "plain-10", "plain-2", "used-up+0-3"]


def test_loader_confs_default_comes_first_but_for_one_that_failed_too_often(tmp_path: Path) -> None:
    put_entry(tmp_path, "one-1+3")
    put_entry(tmp_path, "two-1")
    put_entry(tmp_path, "one-2+0-3")
    put(tmp_path, "/loader/loader.conf", "timeout 3\ndefault one-*\n")
    assert names_of(tmp_path) == ["one-1+3", "two-1", "one-2+0-3"]


@pytest.mark.parametrize(
    ("default", "kernel"),
    [
        ("2", "/vmlinuz-3"),
        ("1>1", "/vmlinuz-2b"),
        ("1", "/vmlinuz-2a"),
        ("third", "/vmlinuz-3"),
        ("More>>less>b", "/vmlinuz-2b"),
        ("gone", "/vmlinuz-1"),
        ("9", "/vmlinuz-1"),
        ("", "/vmlinuz-1"),
    ],
)
def test_grubs_default_by_number_title_or_id(default: str, kernel: str, tmp_path: Path) -> None:
    body = "linux ($root)/vmlinuz-{} root=/dev/sda1\ndevicetree /x.dtb\n"
    text = (
        f'set default="{default}"\n'
        f"menuentry 'One' {{ {body.format(1)} }}\n"
        f"submenu 'More>less' {{\n menuentry a {{\n{body.format('2a')}}}\n menuentry 'B' --id=b {{\n{body.format('2b')}}}\n}}\n"
        f"menuentry 'Three' --id third {{\n{body.format(3)}}}\n"
    )
    put(tmp_path, "/grub/grub.cfg", text)
    menu = grub.read_menu(ConfinedTree(tmp_path, "sda1"), "/grub/grub.cfg")
    assert menu.entries[0].kernel == kernel
    assert menu.entries[0].dtb == "/x.dtb"
    assert len(menu.entries) == 4


def test_grubs_own_name_of_a_disk_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "/grub/grub.cfg", "menuentry x {\nlinux (hd1,gpt2)/vmlinuz root=/dev/sda1\n}\n")
    (found,) = menus(tmp_path)
    assert "is no path on this partition" in str(found)


def test_kernels_by_version_in_debians_order(tmp_path: Path) -> None:
    for version in ("6.1.0-9-arm64", "6.1.0-21-arm64", "6.1.0~rc3-arm64"):
        put(tmp_path, f"/boot/vmlinuz-{version}")
        put(tmp_path, f"/boot/initrd.img-{version}")
    for name in ("vmlinuz-6.9.0.old", "vmlinuz-0-rescue-0123", "config-7.0", "System.map-7.0"):
        put(tmp_path, f"/boot/{name}")
    put(tmp_path, "/boot/dtb-6.1.0-21-arm64", "tree")
    (found,) = menus(tmp_path, command_line="root=PARTUUID=1-02 ro")
    assert kernels_of(found) == ["/boot/vmlinuz-6.1.0-21-arm64", "/boot/vmlinuz-6.1.0-9-arm64", "/boot/vmlinuz-6.1.0~rc3-arm64"]
    assert isinstance(found, list)
    assert found[0] == Entry(
        source="/boot/vmlinuz-6.1.0-21-arm64",
        kernel="/boot/vmlinuz-6.1.0-21-arm64",
        initrds=("/boot/initrd.img-6.1.0-21-arm64",),
        command_line="root=PARTUUID=1-02 ro",
        dtb="/boot/dtb-6.1.0-21-arm64",
    )


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("1.2", "1.10"),
        ("1.0~rc1", "1.0"),
        ("1.0", "1.0a"),
        ("1.0a", "1.0+b"),
        ("", "1"),
        ("6.1-9", "6.1-21"),
        ("1~~", "1~"),
    ],
)
def test_debians_order_of_versions(lower: str, higher: str) -> None:
    assert compare_debian(lower, higher) < 0 < compare_debian(higher, lower)
    assert compare_debian(lower, lower) == 0


# Examples of the version format specification.
@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("122.1", "123~rc1-1"), ("123~rc1-1", "123"), ("123", "123-a"), ("123-a", "123-a.1"), ("123-a.1", "123-1"),
        ("123-1", "123-1.1"), ("123-1.1", "123^post1"), ("123^post1", "123.a-1"), ("123.a-1", "123.1-1"),
        ("123.1-1", "123a-1"), ("123a-1", "124-1"),
    ],
)  # fmt: skip
def test_the_specifications_order_of_versions(lower: str, higher: str) -> None:
    assert compare_entries(lower, higher) < 0 < compare_entries(higher, lower)
    assert compare_entries(lower, lower) == 0


def test_fstab_with_quotes_blanks_and_comments(tmp_path: Path) -> None:
    put(tmp_path, "/etc/fstab", '# UUID=no /boot ext4\nLABEL="my\\040boot" /boot/ ext4 defaults 0 2\n')
    assert find_mount(ConfinedTree(tmp_path, "sda1"), "/boot") == "LABEL=my boot"
    assert find_mount(ConfinedTree(tmp_path, "sda1"), "/efi") == ""
