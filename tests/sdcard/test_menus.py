"""What the firmware reads to find the loader, for each kind of firmware."""

from dataclasses import replace

import pytest

from scripts.sdcard.boards import BOARDS
from scripts.sdcard.boot_script import from_boot_script
from scripts.sdcard.errors import CardError
from scripts.sdcard.menus import boot_script_text, config_txt, extlinux_conf, loader_command_line, menu_files

VIRT = BOARDS["virt-arm64"]
IMX53 = BOARDS["imx53-qsb"]
PI = BOARDS["cm4"]


def test_the_command_line_has_the_boards_words_the_cards_name_and_what_one_card_adds() -> None:
    line = "nr_cpus=1 panic=10 rootfstype=ramfs bootpilot.card=PARTUUID=0badcafe-01 quiet"
    assert loader_command_line(VIRT, "0badcafe-01", ("quiet",)) == line


def test_a_console_is_named_only_where_the_board_asks_for_it() -> None:
    assert "console=" not in loader_command_line(VIRT, "0badcafe-01")
    named = loader_command_line(replace(VIRT, console="ttyS0,115200"), "0badcafe-01")
    assert named.startswith("console=ttyS0,115200 nr_cpus=1")


def test_extlinux_names_the_loader_and_its_predecessor() -> None:
    assert extlinux_conf(VIRT, "panic=10") == (
        "default netboot\nprompt 0\ntimeout 10\nmenu title Bootpilot loader\n"
        "\nlabel netboot\n    menu label Bootpilot loader\n"
        "    kernel /vmlinuz\n    initrd /initrd.img\n    append panic=10\n"
        "\nlabel netboot-old\n    menu label Bootpilot loader (previous)\n"
        "    kernel /vmlinuz.old\n    initrd /initrd.img.old\n    append panic=10\n"
    )


def test_a_board_whose_firmware_has_no_device_tree_names_one() -> None:
    text = menu_files(BOARDS["orangepi-pc"], "panic=10")["extlinux/extlinux.conf"].decode()
    assert "    fdt /dtbs/sun8i-h3-orangepi-pc.dtb\n" in text
    assert "    fdt /dtbs.old/sun8i-h3-orangepi-pc.dtb\n" in text


def test_a_board_whose_firmware_chooses_gets_the_folder_of_device_trees() -> None:
    text = menu_files(BOARDS["pandaboard"], "panic=10")["extlinux/extlinux.conf"].decode()
    assert "    fdtdir /dtbs\n" in text
    assert "    fdt /" not in text


def test_a_person_can_name_the_device_tree() -> None:
    text = menu_files(BOARDS["pandaboard"], "panic=10", "omap4-panda-es.dtb")["extlinux/extlinux.conf"].decode()
    assert "    fdt /dtbs/omap4-panda-es.dtb\n" in text
    assert "fdtdir" not in text


def test_a_device_tree_of_another_board_is_refused_with_those_there_are() -> None:
    with pytest.raises(CardError, match=r"pandaboard has no device tree 'imx53-qsb\.dtb'") as refusal:
        menu_files(BOARDS["pandaboard"], "panic=10", "imx53-qsb.dtb")
    assert "omap4-panda-a4.dtb" in refusal.value.hint


def test_the_boot_script_loads_from_the_first_partition_and_a_file_switches_the_tree() -> None:
    lines = boot_script_text(IMX53, "panic=10").splitlines()
    place = "mmc ${mmcdev}:${mmcpart}"
    assert lines[1:4] == [
        "setenv bootargs 'panic=10'",
        "setenv tree imx53-qsb.dtb",
        f"if test -e {place} qsrb; then setenv tree imx53-qsrb.dtb; fi",
    ]
    assert lines[4] == (
        f"if load {place} 0x80000000 vmlinuz && load {place} 0x81f00000 dtbs/${{tree}} && "
        f"load {place} 0x82000000 initrd.img; then bootz 0x80000000 0x82000000:${{filesize}} 0x81f00000; fi"
    )
    assert lines[-1] == "reset"


def test_a_tree_that_a_person_names_leaves_no_switch_in_the_boot_script() -> None:
    text = from_boot_script(menu_files(IMX53, "panic=10", "imx53-qsrb.dtb")["boot.scr"])
    assert "setenv tree imx53-qsrb.dtb" in text
    assert "test -e" not in text


def test_a_command_line_that_would_end_the_scripts_quotes_is_refused() -> None:
    with pytest.raises(CardError, match="a boot script cannot hold"):
        boot_script_text(IMX53, "panic=10 x='; reset")


def test_a_boot_script_with_a_wrong_byte_is_refused() -> None:
    script = bytearray(menu_files(IMX53, "panic=10")["boot.scr"])
    script[-3] ^= 1
    with pytest.raises(CardError, match="wrong checksum"):
        from_boot_script(bytes(script))


def test_raspberry_pi_firmware_gets_the_kernel_and_the_compute_modules_own_tree() -> None:
    lines = config_txt(PI).splitlines()
    assert lines[1:] == [
        *["arm_64bit=1", "enable_uart=1", "upstream_kernel=1", "kernel=vmlinuz", "initramfs initrd.img followkernel"],
        *["[cm4]", "device_tree=bcm2711-rpi-cm4-io.dtb"],
    ]
    assert "arm_64bit" not in config_txt(BOARDS["raspberrypi-2"])
    assert menu_files(PI, "panic=10")["cmdline.txt"] == b"panic=10\n"


def test_systemd_boot_gets_a_default_entry_and_one_for_the_loader_of_before() -> None:
    files = menu_files(BOARDS["uefi-arm64"], "panic=10")
    assert files["loader/loader.conf"].startswith(b"default bootpilot.conf\n")
    entry = b"title Bootpilot loader\nlinux /vmlinuz\ninitrd /initrd.img\noptions panic=10\n"
    assert files["loader/entries/bootpilot.conf"] == entry
    assert b"linux /vmlinuz.old\n" in files["loader/entries/bootpilot-old.conf"]
