"""What a DHCP server may say, and what becomes of it."""

import os
import select
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpilot_agent.dhcp import MAX_DUMP_BYTES, DhcpError, DhcpOffer, parse_event, parse_offer
from bootpilot_agent.dhcp_client import MANNERS, DhcpClient, EventFolder, Manner, udhcpc_argv

HOOK = Path(__file__).parents[2] / "initramfs/overlay/usr/lib/bootpilot/udhcpc"
URL = "http://10.1.0.1:8080"
# As busybox 1.35 hands it to the hook.
PLAIN = {
    "interface": "eth0", "ip": "10.1.0.55", "mask": "24", "subnet": "255.255.255.0", "router": "10.1.0.1", "dns": "10.1.0.1",
    "domain": "lab.example", "lease": "7200", "serverid": "10.1.0.1", "mtu": "1500", "siaddr": "10.1.0.1", "opt53": "05",
    "opt224": URL.encode().hex(),
}  # fmt: skip


def dump(event: str = "bound", **changed: str) -> bytes:
    values = {"event": event, **PLAIN, **changed}
    return b"".join(f"{name}={value}\0".encode("latin-1") for name, value in values.items())


def offer(**changed: str) -> DhcpOffer:
    return parse_offer(parse_event(dump(**changed)))


def test_a_plain_offer_is_taken_whole() -> None:
    assert offer() == DhcpOffer(
        address="10.1.0.55/24",
        gateway="10.1.0.1",
        dns=("10.1.0.1",),
        domain="lab.example",
        mtu=1500,
        lease_s=7200,
        server="10.1.0.1",
        server_urls=(URL,),
        notes=(),
    )


@pytest.mark.parametrize(("event", "has_lease"), [("bound", True), ("renew", True), ("deconfig", False), ("nak", False)])
def test_only_bound_and_renew_mean_a_lease(event: str, has_lease: bool) -> None:
    assert parse_event(dump(event)).has_lease is has_lease


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"ip": ""}, "address: expected a host's IPv4 address, got ''"),
        ({"ip": "0.0.0.0"}, "address"),
        ({"ip": "127.0.0.1"}, "address"),
        ({"ip": "224.0.0.5"}, "address"),
        ({"ip": "255.255.255.255"}, "address"),
        ({"ip": "10.1.0.5;reboot"}, "address"),
        ({"ip": "10.1.0.0"}, "a host's address in its subnet"),
        ({"ip": "10.1.0.255"}, "a host's address in its subnet"),
    ],
)
def test_without_a_usable_address_there_is_no_offer(changed: dict[str, str], told: str) -> None:
    with pytest.raises(DhcpError, match="DHCP option address") as error:
        offer(**changed)
    assert told in error.value.message


@pytest.mark.parametrize(
    ("address", "mask", "prefix"),
    [
        ("10.1.0.55", "", 8),
        ("172.16.0.5", "0.0.0.0", 16),
        ("192.0.2.5", "255.0.255.0", 24),
        ("192.0.2.5", "0.0.0.255", 24),
        ("192.0.2.5", "x", 24),
    ],
)
def test_a_missing_or_senseless_mask_is_replaced_and_named(address: str, mask: str, prefix: int) -> None:
    got = offer(ip=address, subnet=mask, router="")
    assert got.address == f"{address}/{prefix}"
    assert got.notes == (f"subnet mask {mask!r} left out; /{prefix} taken from the address",)


@pytest.mark.parametrize("router", ["192.0.2.1", "10.1.0.55", "0.0.0.0", "nonsense", "255.255.255.255"])
def test_a_router_that_cannot_be_one_is_left_out_and_the_next_is_taken(router: str) -> None:
    got = offer(router=f"{router} 10.1.0.2")
    assert got.gateway == "10.1.0.2"
    assert got.notes == (f"router '{router}' left out: not another host in 10.1.0.0/24",)
    assert offer(router=router).gateway == ""


def test_with_a_host_mask_the_router_may_be_anywhere() -> None:
    assert offer(subnet="255.255.255.255", router="192.0.2.1").gateway == "192.0.2.1"


@pytest.mark.parametrize("mtu", ["68", "575", "9217", "-1", "1500;x", "99999999"])
def test_an_mtu_that_would_cut_the_traffic_to_pieces_is_left_out(mtu: str) -> None:
    got = offer(mtu=mtu)
    assert got.mtu is None
    assert "MTU" in got.notes[0]


def test_a_lease_of_a_second_is_named() -> None:
    assert offer(lease="1").notes == ("lease time '1' is shorter than a boot takes",)


@pytest.mark.parametrize("domain", ["$(reboot)", "a b", "-" * 300, "a\nnameserver 6.6.6.6", "<script>", "a..b"])
def test_a_domain_that_is_none_is_left_out(domain: str) -> None:
    got = offer(domain=domain)
    assert got.domain == ""
    assert "domain" in got.notes[0]


def test_what_busybox_itself_found_bad_is_no_domain() -> None:
    assert (offer(domain="bad").domain, offer(domain="bad").notes) == ("", ())


def test_at_most_three_name_servers_are_taken_each_once() -> None:
    assert offer(dns="10.0.0.1 10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4").dns == ("10.0.0.1", "10.0.0.2", "10.0.0.3")


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        (b"http://a/", ("http://a",)),
        (b"http://a\0", ("http://a",)),
        (b"https://a, http://[2001:db8::1]:8080", ("https://a", "http://[2001:db8::1]:8080")),
        (b"", ()),
    ],
)
def test_option_224_holds_one_url_or_several(text: bytes, urls: tuple[str, ...]) -> None:
    assert offer(opt224=text.hex()).server_urls == urls


@pytest.mark.parametrize("text", [b"\xff\xfe", b"file:///etc/passwd", b"http://a\r\nb", b"A" * 255, b"http://u:p@a"])
def test_an_option_224_that_is_no_url_is_named_and_option_67_counts(text: bytes) -> None:
    got = offer(opt224=text.hex(), bootfile="http://b/")
    assert "option 224" in got.notes[0]
    assert got.server_urls == (("http://b",) if text != b"http://a\r\nb" else ("http://a",))


@pytest.mark.parametrize("name", ["bootfile", "boot_file"])
def test_option_67_is_taken_under_either_of_busyboxs_names(name: str) -> None:
    assert offer(opt224="", **{name: "HTTP://b:80/x/"}).server_urls == ("HTTP://b:80/x",)
    assert offer(opt224="", **{name: "pxelinux.0"}).server_urls == ()


def test_a_dump_of_a_megabyte_is_refused() -> None:
    with pytest.raises(DhcpError, match="at most 65536 bytes"):
        parse_event(b"event=bound\0" + b"x=" + b"A" * MAX_DUMP_BYTES)


names = st.sampled_from(sorted(PLAIN))
values = st.text(alphabet=st.characters(max_codepoint=255, exclude_characters="\0"), max_size=255) | st.sampled_from(
    ["255.255.255.255", "0.0.0.0", "10.1.0.1 " * 20, "\xb2", "1" * 30, "00" * 120, "$(reboot)", "../../etc/passwd"]
)


@given(st.dictionaries(names, values))
def test_no_options_raise_anything_but_a_dhcp_error(changed: dict[str, str]) -> None:
    try:
        got = offer(**changed)
    except DhcpError:
        return
    assert all(text.isprintable() for text in (got.address, got.gateway, got.domain, *got.dns, *got.server_urls, *got.notes))


@given(st.binary(max_size=400))
def test_no_dump_raises_anything_but_a_dhcp_error(raw: bytes) -> None:
    try:
        parse_offer(parse_event(raw))
    except DhcpError:
        return
    assert b"event=" in raw


@pytest.mark.parametrize("shell", [["/bin/sh"], ["busybox", "sh"]])
def test_the_hook_hands_over_every_byte_and_runs_none_of_it(shell: list[str], tmp_path: Path) -> None:
    (tmp_path / "wake").touch()
    hostile = f"$(touch {tmp_path}/pwned) `touch {tmp_path}/pwned` ';touch {tmp_path}/pwned;' \n * %s \\0 \x01\xff"
    own = {**PLAIN, "domain": hostile, "PATH": "/usr/bin:/bin", "BOOTPILOT_DHCP_DIR": str(tmp_path)}
    environment = {name.encode(): value.encode("latin-1") for name, value in own.items()}
    subprocess.run([*shell, str(HOOK), "bound"], env=environment, check=True)
    event = parse_event((tmp_path / "eth0").read_bytes())
    assert event.name == "bound"
    assert {name: event.values[name] for name in PLAIN} == {**PLAIN, "domain": hostile}
    assert (tmp_path / "wake").read_text() == "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["eth0", "wake"]
    assert (tmp_path / "eth0").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("shell", [["busybox", "sh"], ["sh"]], ids=["busybox", "sh"])
def test_an_agent_that_does_not_read_holds_no_hook_up_for_ever(shell: list[str], tmp_path: Path) -> None:
    events = EventFolder(tmp_path)
    wake = os.open(tmp_path / "wake", os.O_RDWR | os.O_NONBLOCK)
    try:
        while os.write(wake, b"x" * 4096):
            pass
    except BlockingIOError:
        pass
    (tmp_path / "eth0").write_bytes(b"event=deconfig\0")
    environment = {**os.environ, "interface": "eth0", "BOOTPILOT_DHCP_DIR": str(tmp_path)}
    subprocess.run([*shell, str(HOOK), "renew"], env=environment, check=False, timeout=60)
    dump = events.take("eth0")
    assert dump is not None
    assert dump.startswith(b"event=renew\0")
    # As soon as it reads again it is woken by the next event.
    events.drain()
    subprocess.run([*shell, str(HOOK), "renew"], env=environment, check=True, timeout=60)
    assert select.select([events], [], [], 0)[0] == [events]
    os.close(wake)
    events.close()


def test_a_client_without_a_lease_asks_in_each_manner_in_turn_and_one_with_a_lease_is_let_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, patient = (replace(manner, lasts_s=0.2) for manner in MANNERS)
    monkeypatch.setattr("bootpilot_agent.dhcp_client.MANNERS", (quick, patient))
    asked: list[Manner] = []

    def argv(manner: Manner) -> list[str]:
        asked.append(manner)
        return ["sleep", "1000"]

    client = DhcpClient(argv, EventFolder(tmp_path / "events"))
    try:
        client.keep_running()
        for _ in range(3):
            time.sleep(0.25)
            client.keep_running(has_lease=True)
            assert len(asked) == 1
        for count in range(2, 5):
            client.keep_running()
            assert len(asked) == count
            client.keep_running()
            assert len(asked) == count
            time.sleep(0.25)
    finally:
        client.kill()
    assert asked == [quick, patient, quick, patient]


def test_each_manner_lasts_as_long_as_its_round_of_questions() -> None:
    for manner in MANNERS:
        assert manner.lasts_s >= manner.tries * manner.between_s
        words = udhcpc_argv("eth0", HOOK, b"\0id", "bootpilot", False, manner)
        assert words[words.index("-t") + 1 : words.index("-t") + 4] == [str(manner.tries), "-T", str(manner.between_s)]
