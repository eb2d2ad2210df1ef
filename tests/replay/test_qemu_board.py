"""What a machine in QEMU is given so that a recorded boot happens again on it. Boots in QEMU are in tests/qemu."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bootpilot_agent.cpio import regular, write_cpio
from bootpilot_agent.fields import Json
from bootpilot_agent.recorded_http import Body, HttpLine
from bootpilot_agent.recording import Header, Recording, Timed
from bootpilot_agent.recording_lines import DhcpLine, FileKind, FileLine, Line
from initramfs.build import RamSystem
from scripts.lab.guest import UserNet
from scripts.lab.qemu_argv import user_netdev
from scripts.replaying.errors import ReplayError
from scripts.replaying.qemu import refuse
from scripts.replaying.qemu_board import OTHER_BOARD, BoardPlan, plan_board
from scripts.replaying.qemu_lan import cable_of, listening_address, origins_of
from scripts.replaying.qemu_payload import runnable
from scripts.replaying.stand_ins import StandIn
from scripts.replaying.tape import Tape
from scripts.replaying.tape_reading import make_tape

BOOT_ID, BUILD_ID = "0b9a3a1e-8a54-4a6e-9d1c-0123456789ab", "0123456789abcdef"
SLIRP = {"ip": "10.0.2.15", "subnet": "255.255.255.0", "router": "10.0.2.2", "dns": "10.0.2.3", "lease": "86400"}
NIC: dict[str, Json] = {"name": "eth0", "mac": "52:54:00:12:34:01"}
LEASE: dict[str, Json] = {"interface": "eth0", "method": "dhcp", "address": "10.0.2.15/24"}


def dump(interface: str = "eth0", **values: str) -> DhcpLine:
    return DhcpLine(interface, "\0".join(f"{key}={value}" for key, value in {"event": "bound", **values}.items()))


def asked(url: str, report: Mapping[str, Json] | None = None) -> HttpLine:
    body = Body(0, json.dumps(report).encode()) if report is not None else Body()
    return HttpLine(1, "eth0", "GET" if report is None else "POST", url, {}, body, 200, {}, Body(2, b"{}"))


def tape(*lines: Line, server: str = "http://10.0.2.2:8080", arch: str = "arm64", **report: Json) -> Tape:
    told: dict[str, Json] = {
        "board": {"model": "linux,dummy-virt"},
        "nics": [NIC],
        "lease": LEASE,
        "memory_bytes": 1026023424,
        **report,
    }
    talk = (asked(f"{server}/v1/"), asked(f"{server}/v1/boot", told))
    rows = tuple(Timed(number, line) for number, line in enumerate((*lines, *talk)))
    return make_tape(Recording(Header(BOOT_ID, "0.1.0", BUILD_ID, arch, (), 0), rows, 1000, {}))


def plan(*lines: Line, **more: Any) -> BoardPlan:
    return plan_board(tape(*lines, **more), BUILD_ID)


def test_a_board_of_qemus_own_is_itself_again_and_nothing_is_left_out() -> None:
    found = plan(dump(**SLIRP))
    assert (found.is_itself, found.memory_mib, found.blind) == (True, 1024, {})
    assert [(adapter.name, adapter.mac) for adapter in found.adapters] == [("eth0", "52:54:00:12:34:01")]


def test_another_board_lends_its_name_to_the_generic_one_and_the_verdict_says_so() -> None:
    found = plan(dump(**SLIRP), board={"model": "Xunlong Orange Pi PC"}, arch="armhf")
    assert (found.machine.board, found.is_itself, found.memory_mib) == ("virt-armhf", False, found.machine.memory_mib)
    assert found.blind["nics"] == found.blind["simulated"] == OTHER_BOARD


def test_another_build_of_the_loader_is_no_difference() -> None:
    assert set(plan_board(tape(dump(**SLIRP)), "another").blind) == {"agent.build_id", "loader_builds"}


def test_the_recorded_lease_is_given_again() -> None:
    net = cable_of(tape(dump(**SLIRP)), "eth0").net
    assert net == UserNet(None, "", "10.0.2.0/24", "10.0.2.2", "10.0.2.3", "10.0.2.15")
    assert user_netdev(net, "net0") == "user,id=net0,net=10.0.2.0/24,host=10.0.2.2,dns=10.0.2.3,dhcpstart=10.0.2.15"


def test_a_server_that_dhcp_named_is_named_again() -> None:
    url = "http://10.0.2.2:8080"
    net = cable_of(tape(dump(**SLIRP, opt224=url.encode().hex())), "eth0").net
    assert net is not None
    assert net.bootfile == url


def test_a_server_that_a_second_dhcp_server_named_is_named_by_the_only_one() -> None:
    urls = [f"http://10.0.2.{host}:8080".encode().hex() for host in (2, 4)]
    other = dump(**{**SLIRP, "event": "offer", "serverid": "10.0.2.9"}, opt224=urls[0])
    net = cable_of(tape(dump(**SLIRP), other), "eth0").net
    assert net is not None
    assert net.bootfile == "http://10.0.2.2:8080"
    with pytest.raises(ReplayError, match="two DHCP servers named two boot servers"):
        cable_of(tape(dump(**SLIRP, opt224=urls[1]), other), "eth0")


def test_what_qemus_network_cannot_say_is_not_compared() -> None:
    cable = cable_of(tape(dump(ip="10.1.0.78", subnet="255.255.255.0", router="10.1.0.254"), server="http://10.1.0.1"), "eth0")
    assert cable.net is not None
    assert (cable.net.host, cable.net.first_address) == ("10.1.0.1", "10.1.0.78")
    assert set(cable.blind) == {"lease.gateway", "lease.dns"}


def test_an_adapter_without_a_lease_has_a_cable_on_which_nobody_answers() -> None:
    assert cable_of(tape(dump("eth1", event="leasefail")), "eth1").net is None


def test_an_adapter_over_which_no_server_answered_leads_to_none() -> None:
    nets = [cable_of(tape(dump(**SLIRP), dump("eth1", **SLIRP)), name).net for name in ("eth0", "eth1")]
    assert [net.is_closed for net in nets if net] == [False, True]
    assert user_netdev(UserNet(is_closed=True), "net1") == "user,id=net1,restrict=on"


def test_servers_listen_where_the_board_finds_them() -> None:
    cables = [cable_of(tape(dump(**SLIRP)), "eth0")]
    assert listening_address("10.0.2.2", cables) == "127.0.0.1"
    assert listening_address("203.0.113.1", cables) == "203.0.113.1"
    assert origins_of(tape(server="http://203.0.113.1:8080")) == {"http://203.0.113.1:8080": "eth0"}
    with pytest.raises(ReplayError, match=r"has the name boot\.example"):
        listening_address("boot.example", cables)


def test_the_cards_settings_and_the_sites_words_come_along() -> None:
    card = FileLine("run/bootpilot/card/bootpilot.txt", FileKind.FILE, b'server = ["http://10.0.2.2:8080"]\nca = "site.pem"\n')
    words = FileLine(
        "proc/cmdline",
        FileKind.FILE,
        b"nr_cpus=1 bootpilot.card=PARTUUID=1-01 bootpilot.watchdog=10 bootpilot.shell panic=10\n",
    )
    found = plan(card, words, dump(**SLIRP))
    assert (found.settings, found.words) == ({"server": ["http://10.0.2.2:8080"]}, ("bootpilot.watchdog=10",))


def test_boots_that_qemu_cannot_show_are_refused_with_the_reason() -> None:
    card = FileLine("run/bootpilot/card/bootpilot.txt", FileKind.FILE, b"vlan = 7\n")
    with pytest.raises(ReplayError, match="VLAN"):
        plan(card, dump(**SLIRP))
    with pytest.raises(ReplayError, match="needs a larger one"):
        cable_of(tape(dump(ip="10.1.0.1", subnet="255.255.255.252")), "eth0")
    with pytest.raises(ReplayError, match="no network adapters"):
        plan(nics=[])
    with pytest.raises(ReplayError, match="9 network adapters; here are 1 to 8"):
        plan(nics=[NIC] * 9)
    with pytest.raises(ReplayError, match="1048576 MiB of memory"):
        plan(memory_bytes=1 << 40)
    with pytest.raises(ReplayError, match="no server's"):
        origins_of(tape(server="http://10.0.2.2:999999"))
    with pytest.raises(ReplayError, match=r"took 2\.0 h"):
        refuse(replace(tape(dump(**SLIRP)), ended_ms=7_200_000))
    with pytest.raises(ReplayError, match="earlier failure"):
        refuse(tape(dump(**SLIRP), last_attempt={"stage": "kexec"}))


def test_nothing_in_a_recording_becomes_another_option_of_qemus() -> None:
    nic: dict[str, Json] = {"name": "eth0", "mac": "52:54:00:12:34:01,romfile=/etc/passwd"}
    evidence: list[Json] = [{"kind": "dt-serial", "value": "x,file=/etc/passwd"}]
    found = plan(dump(**SLIRP, opt224=b"http://10.0.2.2:8080/,restrict=off".hex()), nics=[nic], evidence=evidence)
    said = [found.identity.serial, found.identity.uuid, found.identity.mac, *(adapter.mac for adapter in found.adapters)]
    assert [text for text in said if "," in text or "/" in text] == []
    net = found.adapters[0].cable.net
    assert net is not None
    assert ",restrict" not in user_netdev(net, "net0").replace(",,", "")


def test_files_that_are_not_at_hand_are_those_of_a_payload_that_runs(tmp_path: Path) -> None:
    for name in ("kernel", "initrd", "tree"):
        (tmp_path / name).write_bytes(f"the {name}".encode())
    workload = RamSystem("arm64", "", tmp_path / "kernel", tmp_path / "initrd", 0, "", ())
    roles = ("kernel", "initrd 1", "initrd 2", "dtb", "file")
    rows = [StandIn(role, f"{number:064x}", b"zeros", real=False) for number, role in enumerate(roles)]
    at_hand = StandIn("initrd 3", "5" * 64, b"recorded", real=True)
    found = {one.role: one for one in runnable([*rows, at_hand], workload, tmp_path / "tree")}
    assert [found[role].content for role in ("kernel", "initrd 1", "dtb", "file")] == [
        b"the kernel",
        b"the initrd",
        b"the tree",
        b"zeros",
    ]
    with (tmp_path / "archive").open("w+b") as stream:
        write_cpio([regular("replayed-initrd-2", b"initrd 2")], stream)
    assert found["initrd 2"].content == (tmp_path / "archive").read_bytes()
    assert (found["initrd 3"].sha256, found["initrd 3"].content) == ("5" * 64, b"recorded")
    with pytest.raises(ReplayError, match="no stand-in for overlay 1"):
        runnable([StandIn("overlay 1", "6" * 64, b"", real=False)], workload, None)
