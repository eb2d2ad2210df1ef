"""More than one DHCP server on a network: which boot server is heard, and that the lease in use stays as it is."""

import subprocess
import sys
import time

import pytest

from bootpilot_agent import dhcp_others
from bootpilot_agent.dhcp import NOT_TAKEN, parse_event, parse_named_servers, parse_offer
from bootpilot_agent.dhcp_packet import MAGIC, Question, read_offer, to_dump
from bootpilot_agent.raw_settings import CARD
from bootpilot_agent.settings import Settings
from tests.agent_board.board import said, start, wait_for, wait_until
from tests.agent_board.lan import Lan
from tests.agent_board.own_network import in_own_network

URL, WRONG = "http://10.1.0.3:8080", "http://10.1.0.66"
MAC = bytes.fromhex("525400123401")
QUESTION = Question(0x01020304, MAC, b"\0serial", "bootpilot:arm64", b"\x09bootpilot")


def two_servers(lan: Lan, *of_the_first: str) -> None:
    lan.serve_dhcp("10.1.0.50,10.1.0.59", *of_the_first)
    lan.serve_more_dhcp("10.1.0.2/24", "10.1.0.80,10.1.0.89", f"--dhcp-option=224,{URL}")


@in_own_network
def test_a_server_that_only_the_slower_dhcp_server_names_is_heard_and_the_lease_stays() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    two_servers(lan)
    network = start()
    first = wait_for(network)
    assert first.server_urls == ()
    candidate = wait_for(network, lambda one: bool(one.server_urls))
    assert candidate.server_urls == (URL,)
    assert candidate.lease == first.lease
    assert candidate.lease.address.startswith("10.1.0.5")
    assert f"eth0: DHCP server 10.1.0.2, whose lease is not in use, names {URL}" in said()


@in_own_network
def test_a_named_server_that_is_not_found_gets_company_and_keeps_the_first_place() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    two_servers(lan, f"--dhcp-option=224,{WRONG}")
    dhcp_others.PATIENCE_S = 5.0  # in this process alone
    network = start()
    assert wait_for(network).server_urls == (WRONG,)
    start_s = time.monotonic()
    assert wait_for(network, lambda one: len(one.server_urls) > 1).server_urls == (WRONG, URL)
    assert time.monotonic() - start_s > dhcp_others.PATIENCE_S - 2


@in_own_network
def test_nobody_is_asked_once_a_server_was_found_or_where_the_settings_name_one() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    lan.serve_dhcp("10.1.0.50,10.1.0.59")
    network = start(Settings(servers=("http://10.1.0.9",), server_source=CARD))
    network.use(wait_for(network))
    before = lan.dhcp_log().count("DHCPDISCOVER")
    end_s = time.monotonic() + 3
    wait_until(network, lambda: time.monotonic() > end_s)
    network.down()
    network = start()
    network.use(wait_for(network))
    end_s = time.monotonic() + 3
    wait_until(network, lambda: time.monotonic() > end_s)
    # The second start's own question; the first look at a lease may have begun a round before `use`.
    assert lan.dhcp_log().count("DHCPDISCOVER") - before <= 2


@in_own_network
def test_a_network_without_a_second_server_is_asked_again_only_after_a_while() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    lan.serve_dhcp("10.1.0.50,10.1.0.59")
    network = start()
    wait_for(network)
    end_s = time.monotonic() + dhcp_others.ROUND_S + 6
    wait_until(network, lambda: time.monotonic() > end_s)
    questions = lan.dhcp_log().count("DHCPDISCOVER")
    assert 2 <= questions <= 1 + dhcp_others.ROUND_S / dhcp_others.REPEAT_S
    assert network.candidates()[0].server_urls == ()


def answer(**changed: bytes) -> bytes:
    """An offer as a server sends it, with the parts that a test spoils."""
    parts = {"op": b"\2", "number": b"\1\2\3\4", "mac": MAC, "magic": MAGIC, "kind": b"\x35\1\2", "more": b"", **changed}
    head = (
        parts["op"] + b"\1\6\0" + parts["number"] + bytes(8) + bytes([10, 1, 0, 80]) + bytes(8) + parts["mac"].ljust(16, b"\0")
    )
    server = b"\x36\4" + bytes([10, 1, 0, 2])
    mask = b"\1\4" + bytes([255, 255, 255, 0])
    return (
        head
        + bytes(64)
        + parts.get("file", b"").ljust(128, b"\0")
        + parts["magic"]
        + parts["kind"]
        + server
        + mask
        + parts["more"]
    )


@pytest.mark.parametrize(
    "more",
    [
        {"more": bytes([224, len(URL)]) + URL.encode() + b"\xff"},
        {"more": bytes([224, 5]) + URL[:5].encode() + bytes([0, 224, len(URL) - 5]) + URL[5:].encode()},
        {"more": bytes([67, len(URL)]) + URL.encode()},
        {"file": URL.encode()},
    ],
    ids=["option 224", "in two pieces", "option 67", "file"],
)
def test_an_offer_is_read_as_udhcpc_would_hand_it_on(more: dict[str, bytes]) -> None:
    values = read_offer(answer(**more), QUESTION)
    assert values is not None
    event = parse_event(to_dump(NOT_TAKEN, values))
    assert not event.has_lease
    assert (parse_named_servers(event).server, parse_named_servers(event).urls) == ("10.1.0.2", (URL,))
    assert parse_offer(event).address == "10.1.0.80/24"


@pytest.mark.parametrize(
    "spoiled",
    [
        {"op": b"\1"}, {"number": b"\1\2\3\5"}, {"mac": MAC[::-1]}, {"magic": b"\0\0\0\0"}, {"kind": b"\x35\1\5"},
        {"kind": b""}, {"kind": b"\x35\2\2\2"},
    ],
    ids=lambda one: next(iter(one)),
)  # fmt: skip
def test_what_answers_another_question_is_no_offer(spoiled: dict[str, bytes]) -> None:
    assert read_offer(answer(**spoiled), QUESTION) is None


def test_a_packet_cut_anywhere_is_read_as_far_as_it_goes_or_not_at_all() -> None:
    whole = answer(more=bytes([224, len(URL)]) + URL.encode())
    for length in range(len(whole)):
        values = read_offer(whole[:length], QUESTION)
        assert values is None or parse_named_servers(parse_event(to_dump(NOT_TAKEN, values))).urls != (URL,)


def test_the_question_is_what_dhcp_servers_expect() -> None:
    packet = QUESTION.to_bytes()
    assert len(packet) >= 300
    assert packet[:12] == bytes([1, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0x80, 0])
    assert packet[28:34] == MAC
    assert packet[236:243] == MAGIC + b"\x35\1\1"
    assert b"\x3d\7\0serial" in packet
    assert b"\x3c\x0fbootpilot:arm64" in packet


def test_asking_others_loads_no_cryptography_before_the_first_lease() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, bootpilot_agent.dhcp_others; print('_hashlib' in sys.modules)"],
        check=True, capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)},
    ).stdout  # fmt: skip
    assert loaded.strip() == "False"
