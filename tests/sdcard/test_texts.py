"""The texts on a card that a person reads and writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpilot_agent.raw_settings import CARD
from bootpilot_agent.settings import SETTINGS
from scripts.sdcard.errors import CardError
from scripts.sdcard.texts import check_settings, demand_words, settings_text


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


PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, ()),
        ({"server": "http://boot.example"}, ()),
        ({"server": ["https://boot.example"]}, ("bootpilot.card_wants=https",)),
        ({"server": ["https://boot.example"], "ca": PEM}, ("bootpilot.card_wants=ca",)),
    ],
)
def test_what_the_settings_ask_of_servers_stands_on_the_loaders_command_line_too(
    values: dict[str, str | list[str] | int | bool], words: tuple[str, ...]
) -> None:
    assert demand_words(values) == words
