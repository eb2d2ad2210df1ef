"""Settings: both sources, merged key by key; what is wrong is named with its place, and the rest counts."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpilot_agent.card_settings import read_card
from bootpilot_agent.kernel_command_line import read_command_line, split_command_line
from bootpilot_agent.raw_settings import RawSettings, SettingProblem
from bootpilot_agent.settings import SETTINGS, Settings, markdown, merge

ROOT = Path(__file__).parents[2]


def from_card(text: str | bytes) -> tuple[Settings, list[SettingProblem]]:
    raw = text.encode() if isinstance(text, str) else text
    return merge(read_command_line(""), read_card(raw))


def from_command_line(text: str) -> tuple[Settings, list[SettingProblem]]:
    return merge(read_command_line(text))


def test_nothing_set_means_defaults() -> None:
    assert merge(read_command_line("console=ttyS0 quiet")) == (Settings(), [])
    assert from_card("") == (Settings(), [])


def test_every_key_of_the_card_is_read() -> None:
    text = """
        server = ["http://boot.example:8080/", "http://10.0.0.2"]
        trust_dhcp = true
        interface = "eth1"
        address = "192.0.2.10/24"
        gateway = "192.0.2.1"
        dns = ["192.0.2.1", "2001:db8::53"]
        vlan = 42
        vendor_class = "rack 7"
        watchdog = 30
        reboot_after = 12
    """
    assert from_card(text) == (
        Settings(
            servers=("http://boot.example:8080", "http://10.0.0.2"),
            server_source="card",
            trust_dhcp=True,
            interface="eth1",
            address="192.0.2.10/24",
            gateway="192.0.2.1",
            dns=("192.0.2.1", "2001:db8::53"),
            vlan=42,
            vendor_class="rack 7",
            watchdog_s=30,
            reboot_after_h=12,
        ),
        [],
    )


def test_every_key_of_the_command_line_is_read() -> None:
    text = (
        "bootpilot.server=http://a,http://b:81 bootpilot.card=PARTUUID=1B2C3D4E-01 bootpilot.interface=00:11:22:AA:BB:CC "
        "bootpilot.address=2001:db8::10/64 bootpilot.gateway=2001:db8::1 bootpilot.dns=2001:db8::53 bootpilot.vlan=7 "
        "bootpilot.trust_dhcp=yes bootpilot.shell bootpilot.watchdog=off bootpilot.reboot_after=0 bootpilot.simulated=1 "
        'bootpilot.vendor-class="rack 7"'
    )
    assert from_command_line(text) == (
        Settings(  # noqa: S604 # `shell` is a setting; no program is started
            servers=("http://a", "http://b:81"),
            server_source="command line",
            card="1b2c3d4e-01",
            interface="00:11:22:aa:bb:cc",
            address="2001:db8::10/64",
            gateway="2001:db8::1",
            dns=("2001:db8::53",),
            vlan=7,
            trust_dhcp=True,
            shell=True,  # a setting, no program is started
            watchdog_s=0,
            reboot_after_h=0,
            simulated=True,
            vendor_class="rack 7",
        ),
        [],
    )


def test_the_command_line_wins_key_by_key() -> None:
    card = read_card(b'server = "http://card"\nvlan = 5\n')
    settings, problems = merge(read_command_line("bootpilot.server=http://line bootpilot.dns=10.0.0.1"), card)
    assert (settings.servers, settings.server_source, settings.vlan) == (("http://line",), "command line", 5)
    assert settings.dns == ("10.0.0.1",)
    assert problems == []


def test_a_wrong_value_on_the_command_line_leaves_the_cards() -> None:
    settings, problems = merge(read_command_line("bootpilot.vlan=5000"), read_card(b"vlan = 5"))
    assert settings.vlan == 5
    assert problems == [SettingProblem("vlan", "'5000'", "a VLAN id from 1 to 4094", "kernel command line")]


@pytest.mark.parametrize(
    "raw",
    [
        b'\xef\xbb\xbfserver = "http://a"\r\nvlan = 3\r\n',
        '\ufeffserver = "http://a"\r\nvlan = 3\r\n'.encode("utf-16-le"),
        b'server = "http://a"\nvlan = 3',
    ],
)
def test_files_as_windows_editors_write_them_are_read(raw: bytes) -> None:
    settings, problems = from_card(raw)
    assert (settings.servers, settings.vlan, problems) == (("http://a",), 3, [])


def test_broken_toml_is_named_with_its_line_and_the_other_lines_count() -> None:
    settings, problems = from_card('server = "http://a"\ngateway = 10.0.0.1\nvlan = 3\n')
    assert (settings.servers, settings.vlan) == (("http://a",), 3)
    (problem,) = problems
    assert problem.source == "bootpilot.txt line 2"
    assert problem.got == "'gateway = 10.0.0.1'"
    assert problem.expected.startswith("`key = value` in TOML")


def test_a_file_that_is_too_long_is_named_and_its_beginning_counts() -> None:
    settings, problems = from_card(b"vlan = 3\n#" + b"x" * 70_000)
    assert settings.vlan == 3
    assert [(problem.got, problem.expected) for problem in problems] == [("70010 bytes", "at most 65536 bytes")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('server = "ftp://a"', "http or https URL"),
        ('server = "boot.example"', "http or https URL"),
        ('server = "http://"', "http or https URL"),
        ('server = "http://a:0"', "http or https URL"),
        ('server = "http://a:99999"', "http or https URL"),
        ('server = "http://user:pw@a"', "without user name"),
        ('server = "http://a/?x=1"', "without user name, '?' or '#'"),
        ('server = "http://b\u00f6ot"', "http or https URL"),
        ('server = "http://[::1"', "http or https URL"),
        ('server = "http://a\\u0000"', "http or https URL"),
        ("server = 5", "a URL or a list of URLs"),
        ("server = []", "at least one URL"),
        ('address = "192.0.2.10"', "with its prefix length"),
        ('address = "192.0.2.10/33"', "with its prefix length"),
        ('address = "127.0.0.1/8"', "with its prefix length"),
        ('address = "ff02::1/64"', "with its prefix length"),
        ('gateway = "192.0.2"', "an IP address"),
        ('dns = ["0.0.0.0"]', "an IP address"),
        ("dns = [1]", "an IP address"),
        ("vlan = 0", "1 to 4094"),
        ("vlan = true", "1 to 4094"),
        ('interface = "a/b"', "an interface name"),
        ('interface = "more-than-fifteen-characters"', "an interface name"),
        ("watchdog = 5", "10 to 600"),
        ("reboot_after = 1000", "hours from 1 to 720, or 0 for never"),
        ("reboot_after = 'soon'", "hours from 1 to 720"),
        ("watchdog = -1", "10 to 600"),
        ('trust_dhcp = "perhaps"', "true or false"),
        ('vendor_class = "a\\nb"', "printable ASCII"),
        ("shell = true", "this setting only on the command line"),
        ('card = "PARTUUID=1b2c3d4e-01"', "this setting only on the command line"),
        ('sever = "http://a"', "`server`"),
        ("colour = 1", "one of server, ca,"),
        ("[section]", "one of server, ca,"),
    ],
)
def test_a_wrong_setting_is_named_with_its_place_and_what_was_expected(line: str, expected: str) -> None:
    settings, problems = from_card(f"# a comment\n{line}\n")
    assert settings == Settings()
    (problem,) = problems
    assert problem.source == "bootpilot.txt line 2"
    assert expected in problem.expected
    assert str(problem).startswith(f"setting {problem.key} (bootpilot.txt line 2): expected ")


@pytest.mark.parametrize("text", ["bootpilot.card=PARTUUID=xyz", "bootpilot.card", "bootpilot.ca=x", "bootpilot.="])
def test_a_wrong_word_on_the_command_line_is_named(text: str) -> None:
    settings, problems = from_command_line(text)
    assert settings == Settings()
    assert [problem.source for problem in problems] == ["kernel command line"]


def test_the_good_ones_of_several_servers_count() -> None:
    settings, problems = from_card('server = ["http://a", "htp://b", "http://c"]')
    assert settings.servers == ("http://a", "http://c")
    assert [problem.got for problem in problems] == ["'htp://b'"]


def test_a_router_without_an_address_is_named() -> None:
    assert [problem.key for problem in from_card('gateway = "10.0.0.1"')[1]] == ["gateway"]
    assert [problem.key for problem in from_card('address = "2001:db8::2/64"\ngateway = "10.0.0.1"')[1]] == ["gateway"]


@pytest.mark.parametrize("gateway", ["fe80::1", "10.0.0.2"])
def test_a_router_that_cannot_be_one_leaves_the_address_usable(gateway: str) -> None:
    settings, (problem,) = from_card(f'address = "10.0.0.2/24"\ngateway = "{gateway}"')
    assert str(problem) == f"setting gateway (merged): expected another host in the network of 10.0.0.2/24, got {gateway}"
    assert (settings.address, settings.gateway) == ("10.0.0.2/24", "")


PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
HTTPS_CARD = b'server = "https://boot.example"\nca = "site-ca.pem"\n'


def test_a_certificate_is_taken_as_text_and_nothing_else_that_stands_around_it() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIC\n-----END PRIVATE KEY-----\n"
    assert from_card(f'ca = """\n{PEM}"""')[0].ca == PEM
    assert from_card(f'ca = """\nCN = our CA\n{PEM}{key}{PEM}"""'.replace("\n", "\r\n"))[0].ca == PEM + PEM


@pytest.mark.parametrize("content", [PEM.encode(), PEM.replace("\n", "\r\n").encode(), b"\xef\xbb\xbf" + PEM.encode()])
def test_a_certificate_is_taken_from_a_file_beside_the_settings(content: bytes) -> None:
    settings, problems = merge(read_command_line(""), read_card(HTTPS_CARD, {"site-ca.pem": content}))
    assert (settings.ca, settings.https_only, settings.ca_lost, problems) == (PEM, True, False, [])


def test_a_certificate_file_without_letters_as_windows_writes_it_is_taken_too() -> None:
    settings, problems = merge(read_command_line(""), read_card(b'ca = "ca.cer"', {"ca.cer": b"\x30\x82\x01\x00"}))
    assert (settings.ca, problems) == ("-----BEGIN CERTIFICATE-----\nMIIBAA==\n-----END CERTIFICATE-----\n", [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ca = "hello"', "the certificate itself"),
        ("ca = 7", "the certificate itself"),
        ('ca = "site-ca.pem"', "a PEM file of that name"),
        ('ca = """\nMIIB', "`key = value` in TOML"),
    ],
)
def test_a_card_that_asks_for_a_ca_that_cannot_be_read_believes_no_server(text: str, expected: str) -> None:
    settings, problems = from_card(f"# a comment\n{text}\n")
    assert settings == Settings(ca_lost=True, https_only=True)
    assert expected in problems[0].expected
    assert problems[0].source == "bootpilot.txt line 2" or "line" in problems[0].source


def test_no_http_server_counts_beside_an_https_one_or_a_ca() -> None:
    settings, (problem,) = from_card('server = ["https://a", "http://b"]')
    assert (settings.servers, settings.https_only) == (("https://a",), True)
    assert str(problem) == "setting server (card): expected https, as the settings beside it ask for, got http://b"
    settings, (problem,) = merge(read_command_line("bootpilot.server=http://b"), read_card(f'ca = """{PEM}"""'.encode()))
    assert (settings.servers, settings.server_source, settings.https_only) == ((), "", True)


@pytest.mark.parametrize(
    "text", ['server = "https:/boot.example"', 'server = "https://boot.example', 'server = [\n"https://a"\nx']
)
def test_a_mistyped_https_server_does_not_open_the_door_to_http(text: str) -> None:
    settings, problems = from_card(text)
    assert (settings.servers, settings.https_only) == ((), True)
    assert problems


WANTS_CA, WANTS_HTTPS = (read_command_line(f"bootpilot.card_wants={demand}") for demand in ("ca", "https"))
DAMAGED = [None, b"", b"\0" * 512, b"\xff\xd8 another file's bytes", b"server = 'http://a'\nvlan = "]


@pytest.mark.parametrize("raw", DAMAGED)
@pytest.mark.parametrize("told", [WANTS_CA, WANTS_HTTPS])
def test_a_card_that_asked_for_https_and_lost_its_settings_believes_no_server(told: RawSettings, raw: bytes | None) -> None:
    settings, problems = merge(told, None if raw is None else read_card(raw))
    assert (settings.ca_lost, settings.https_only, settings.servers) == (True, True, ())
    assert any("that stood there when the card was made" in problem.expected for problem in problems)


@pytest.mark.parametrize("raw", DAMAGED)
def test_a_card_that_never_asked_for_https_goes_on_without_its_settings(raw: bytes | None) -> None:
    settings, _ = merge(read_command_line(""), None if raw is None else read_card(raw))
    assert not settings.ca_lost
    assert not settings.https_only


def test_a_damaged_file_that_still_says_what_it_asked_for_is_taken_at_its_word() -> None:
    settings, _ = merge(WANTS_HTTPS, read_card(b"server = 'https://a'\nvlan ="))
    assert (settings.servers, settings.ca_lost) == (("https://a",), False)
    assert merge(WANTS_CA, read_card(b"server = 'https://a'\nvlan ="))[0].ca_lost
    assert not merge(WANTS_CA, read_card(b"ca = 'site-ca.pem'\nvlan =", {"site-ca.pem": PEM.encode()}))[0].ca_lost


@pytest.mark.parametrize("text", ["server = 'http://a'", "# server = 'https://a'\n"])
def test_a_person_who_takes_https_out_of_the_file_is_obeyed(text: str) -> None:
    settings, problems = merge(WANTS_CA, read_card(text.encode()))
    assert (settings.ca_lost, settings.https_only, problems) == (False, False, [])


@pytest.mark.parametrize("text", ["# https would be better\nvlan =", "server = 'http://a'"])
def test_who_never_asked_for_https_gets_http(text: str) -> None:
    assert not from_card(text)[0].https_only


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b=c  d=e=f\n", [("a", None), ("b", "c"), ("d", "e=f")]),
        ('a="b c" d', [("a", "b c"), ("d", None)]),
        ('"a=b c" d', [("a", "b c"), ("d", None)]),
        ('a=b" "c', [("a", 'b" "c')]),
        ("a=", [("a", "")]),
        ("", []),
    ],
)
def test_quotes_mean_what_they_mean_to_the_kernel(text: str, words: list[tuple[str, str | None]]) -> None:
    assert split_command_line(text) == words


@given(st.binary(max_size=300))
def test_no_card_file_raises(raw: bytes) -> None:
    merge(read_command_line(""), read_card(raw))


keys = st.sampled_from([row.key for row in SETTINGS])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)


@given(st.lists(st.tuples(keys, st.text(max_size=40)), max_size=8))
def test_no_command_line_raises(pairs: list[tuple[str, str]]) -> None:
    merge(read_command_line(" ".join(f"bootpilot.{key}={value}" for key, value in pairs)))


@given(keys, scalars | st.lists(scalars, max_size=3))
def test_no_value_raises_anything_but_a_problem(key: str, value: object) -> None:
    row = next(row for row in SETTINGS if row.key == key)
    settings, problems = merge(read_command_line(""), type(read_card(b""))({key: value}))
    assert bool(problems) or getattr(settings, row.field) is not None


def test_the_documentation_has_a_row_for_each_setting() -> None:
    rows = markdown().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [row.key for row in SETTINGS]
    assert {row.field for row in SETTINGS} | {"server_source", "ca_lost", "https_only"} == set(Settings.__dataclass_fields__)


def test_the_module_prints_the_documentation() -> None:
    argv = [sys.executable, "-m", "bootpilot_agent.settings"]
    done = subprocess.run(argv, cwd=ROOT / "agent", capture_output=True, text=True, check=True)
    assert done.stdout == markdown()


def test_the_documentation_in_the_readme_is_this_table() -> None:
    assert markdown() in (ROOT / "README.md").read_text()


SECRET = "lab7:9vX2mQ4kT8wZ1rB6nY3c"


def test_the_secret_of_a_batch_is_read_from_the_card_alone() -> None:
    settings, problems = merge(read_command_line(""), read_card(f'enrol = "{SECRET}"'.encode()))
    assert (settings.enrol, problems) == (SECRET, [])
    settings, problems = merge(read_command_line(f"bootpilot.enrol={SECRET}"))
    assert settings.enrol == ""
    assert "only on the card" in str(problems[0])


@pytest.mark.parametrize(
    "text",
    [
        'enrol = "lab7:9vX2mQ4kT8wZ1rB6nY3c+"',
        'enroll = "lab7:9vX2mQ4kT8wZ1rB6nY3c"',
        'enrol = "lab7:9vX2mQ4kT8wZ1rB6nY3c',
        "enrol = lab7:9vX2mQ4kT8wZ1rB6nY3c",
        "ENROL = 9vX2mQ4kT8wZ1rB6nY3c",
        'server = "lab7:9vX2mQ4kT8wZ1rB6nY3c"',
        'enrol = ["lab7:9vX2mQ4kT8wZ1rB6nY3c"]',
    ],
)  # fmt: skip
def test_the_secret_of_a_batch_is_never_shown_however_it_is_written(text: str) -> None:
    settings, problems = merge(read_command_line(""), read_card(text.encode()))
    assert problems
    shown = " ".join([*map(str, problems), repr(settings)])
    assert "9vX2mQ4k" not in shown


def test_the_settings_do_not_show_the_secret_when_they_are_printed() -> None:
    settings, _ = merge(read_command_line(""), read_card(f'enrol = "{SECRET}"'.encode()))
    assert "9vX2mQ4k" not in repr(settings)
