"""The two texts on a card: what U-Boot reads and what a person reads."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpilot_agent.settings import CARD, SETTINGS
from scripts.sdcard.boards import BOARDS
from scripts.sdcard.errors import CardError
from scripts.sdcard.texts import check_settings, extlinux_conf, settings_text

BOARD = BOARDS["virt-arm64"]


def test_extlinux_names_the_loader_its_predecessor_and_the_card() -> None:
    command_line = "nr_cpus=1 panic=10 rootfstype=ramfs bootpilot.card=PARTUUID=0badcafe-01 quiet"
    assert extlinux_conf(BOARD, "0badcafe-01", ("quiet",)) == (
        "default netboot\nprompt 0\ntimeout 10\nmenu title Bootpilot\n"
        "\nlabel netboot\n    menu label Bootpilot loader\n"
        f"    kernel /vmlinuz\n    initrd /initrd.img\n    append {command_line}\n"
        "\nlabel netboot-old\n    menu label Bootpilot loader (previous)\n"
        f"    kernel /vmlinuz.old\n    initrd /initrd.img.old\n    append {command_line}\n"
    )


def test_a_board_whose_firmware_has_no_device_tree_names_one() -> None:
    board = replace(BOARD, dtbs=("sun8i-h3-orangepi-pc.dtb",), fdt="sun8i-h3-orangepi-pc.dtb")
    assert "    fdt /dtbs/sun8i-h3-orangepi-pc.dtb\n" in extlinux_conf(board, "0badcafe-01")


def test_a_board_whose_firmware_chooses_gets_the_folder_of_device_trees() -> None:
    board = replace(BOARD, dtbs=("omap4-panda.dtb", "omap4-panda-es.dtb"))
    assert "    fdtdir /dtbs\n" in extlinux_conf(board, "0badcafe-01")


def test_a_console_is_named_only_where_the_board_asks_for_it() -> None:
    assert "console=" not in extlinux_conf(BOARD, "0badcafe-01")
    assert "append console=ttyS0,115200 nr_cpus=1" in extlinux_conf(replace(BOARD, console="ttyS0,115200"), "0badcafe-01")


def test_the_settings_file_tells_about_every_setting_of_a_card() -> None:
    text = settings_text({})
    assert [row.key for row in SETTINGS if CARD in row.where and f"\n#{row.key} =" not in text] == []
    assert check_settings(text).servers == ()


def test_the_settings_file_says_what_the_agent_will_read() -> None:
    servers: list[str] = ["http://10.0.2.2:8080", "http://[fd00::1]:80"]
    settings = check_settings(settings_text({"server": servers, "vlan": 7, "trust_dhcp": True}))
    assert (settings.servers, settings.vlan, settings.trust_dhcp) == (tuple(servers), 7, True)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60).filter(str.strip))
def test_any_printable_text_comes_back_as_it_was_given(vendor_class: str) -> None:
    settings = check_settings(settings_text({"vendor_class": vendor_class}))
    assert settings.vendor_class == vendor_class.strip()


def test_a_certificate_keeps_its_lines() -> None:
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    assert check_settings(settings_text({"ca": pem})).ca == pem


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("server", "ftp://10.0.2.2", "expected an http or https URL"),
        ("vlan", 5000, "1 to 4094"),
        ("sevrer", "http://10.0.2.2", "no setting of a card is called 'sevrer'"),
        ("card", "PARTUUID=0badcafe-01", "no setting of a card is called 'card'"),
    ],
)
def test_a_setting_that_the_agent_would_refuse_is_refused_now(key: str, value: str | int, complaint: str) -> None:
    with pytest.raises(CardError, match=complaint):
        settings_text({key: value})
