"""What the RAM workload makes of the agent's note: the same network again, and a watchdog that is fed. Its own shell texts."""

import os
import select
import subprocess
import tty
from pathlib import Path

from bootpilot_agent.boot_note import BootNote
from tests.agent_board.board import page
from tests.agent_board.lan import FAR_AWAY, FAR_AWAY_IPV6, Lan, routes
from tests.agent_board.own_network import BIN, in_own_network

TEXTS = Path(__file__).parents[2] / "initramfs/workload/usr/lib/workload"
NOTE = Path("/run/boot.json")
NAME_SERVERS = Path("/run/resolv.conf")
PRELUDE = f"""
note_file={NOTE} resolv_conf={NAME_SERVERS}
say() {{ echo "$*"; }}
. {TEXTS}/facts
. {TEXTS}/network
"""


def a_note(**known: object) -> bytes:
    """boot.json as the agent writes it."""
    values: dict[str, object] = {
        **dict.fromkeys(BootNote.__dataclass_fields__, ""),
        "loader_builds": ("0123456789abcdef",),
        "dns": (),
        "vlan": None,
        "simulated": False,
        "interface": "eth0",
        **known,
    }
    return BootNote(**values).to_bytes()  # type: ignore[arg-type]


def workload(script: str) -> str:
    done = subprocess.run(["busybox", "sh", "-c", PRELUDE + script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def watchdog_at(device: str) -> str:
    return f"watchdog_device={device}; . {TEXTS}/watchdog"


def mac_of(interface: str) -> str:
    return Path(f"/sys/class/net/{interface}/address").read_text().strip()


@in_own_network
def test_a_static_address_goes_on_with_its_router_and_its_name_servers() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    lan.plug("eth1")
    lan.serve_http("hello")
    NOTE.write_bytes(
        a_note(mac=mac_of("eth1"), method="static", address="10.1.0.77/24", gateway="10.1.0.1", dns=("10.1.0.1", "10.1.0.2"))
    )
    workload("read_boot_note; start_network; start_network || true")
    assert "10.1.0.77/24" in routes("-o", "addr", "show", "dev", "eth1")
    assert page(FAR_AWAY) == "hello"
    assert NAME_SERVERS.read_text() == "nameserver 10.1.0.1\nnameserver 10.1.0.2\n"


@in_own_network
def test_a_router_outside_the_subnet_is_reached_as_the_agent_reached_it() -> None:
    lan = Lan("lan", "10.9.0.1/24")
    lan.plug("eth0")
    lan.ip("route", "add", "10.1.0.77/32", "dev", "switch")
    lan.serve_http("hello")
    NOTE.write_bytes(a_note(mac=mac_of("eth0"), method="static", address="10.1.0.77/32", gateway="10.9.0.1"))
    workload("read_boot_note; start_network")
    assert page(FAR_AWAY) == "hello"


@in_own_network
def test_a_static_ipv6_address_goes_on_too() -> None:
    lan = Lan("lan", "2001:db8:1::1/64")
    lan.plug("eth0")
    lan.serve_http("hello")
    NOTE.write_bytes(a_note(mac=mac_of("eth0"), method="static", address="2001:db8:1::77/64", gateway="2001:db8:1::1"))
    workload("read_boot_note; start_network; while ip -6 address show dev eth0 | grep -q tentative; do sleep 0.2; done")
    assert page(FAR_AWAY_IPV6) == "hello"


@in_own_network
def test_where_the_vlan_cannot_be_made_the_payload_does_not_use_the_untagged_network_either() -> None:
    lan = Lan("lan", "10.1.0.1/24")
    lan.plug("eth0")
    program = BIN / "ip"
    program.unlink()
    program.write_text('#!/bin/sh\n[ "$1 $2" = "link add" ] && exit 2\nexec busybox ip "$@"\n')
    program.chmod(0o755)
    note = a_note(mac=mac_of("eth0"), interface="eth0.42", vlan=42, method="static", address="10.1.0.77/24")
    NOTE.write_bytes(note)
    said = workload('read_boot_note; start_network || true; start_network || true; echo "[$interface]"')
    assert said == "network: VLAN 42 cannot be made on eth0, and nothing is done outside of it; trying again\n[]\n"
    assert routes("-o", "addr", "show", "dev", "eth0") == ""


def test_number_and_list_are_read_from_the_note(tmp_path: Path) -> None:
    note = tmp_path / "boot.json"
    script = f'note_file={note}; read_boot_note; echo "[$boot_vlan] [$boot_dns] [$boot_watchdog]"'
    for known, told in (
        ({"vlan": 42, "dns": ("10.0.0.1", "fd00::1"), "watchdog": "keep"}, "[42] [10.0.0.1 fd00::1] [keep]\n"),
        ({}, "[] [] []\n"),
    ):
        note.write_bytes(a_note(**known))
        assert workload(script) == told


def test_a_watchdog_that_was_kept_is_fed_and_stopped_before_power_off() -> None:
    # A terminal stands in for the device: it is one that characters are written to.
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    script = f"{watchdog_at(os.ttyname(theirs))}; boot_watchdog=keep; feed_watchdog; feed_watchdog; read -r _; stop_watchdog"
    with subprocess.Popen(["busybox", "sh", "-c", PRELUDE + script], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as shell:
        assert read_one(ours) == b"."
        assert read_one(ours) == b"."  # and again, without being asked
        assert shell.stdin is not None
        shell.stdin.write(b"\n")
        shell.stdin.close()
        heard = b""
        while b"V" not in heard:
            heard += read_one(ours)
        assert shell.wait(60) == 0
    assert heard.strip(b".") == b"V"


def test_a_watchdog_that_the_plan_had_stopped_is_left_alone() -> None:
    ours, theirs = os.openpty()
    said = workload(f"{watchdog_at(os.ttyname(theirs))}; boot_watchdog=stop; feed_watchdog; stop_watchdog || true")
    assert said == ""
    assert select.select([ours], [], [], 0)[0] == []


def read_one(descriptor: int) -> bytes:
    assert select.select([descriptor], [], [], 60)[0], "nothing came"
    return os.read(descriptor, 1)
