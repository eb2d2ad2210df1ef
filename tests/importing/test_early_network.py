"""The installer's network as the agent had it: what early.sh answers for debian-installer's netcfg."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bootpilot_server.importing.site_texts import TEXTS
from tests.importing.shells import start_argv

SCRIPT = TEXTS / "debian-installer/early.sh"
MAC = "52:54:00:12:34:56"
DHCP = {"method": "dhcp", "address": "10.0.2.15/24", "client_id": "0042503031", "mac": MAC, "gateway": "10.0.2.2", "dns": []}
STATIC = {"method": "static", "client_id": "", "mac": MAC}


class Board:
    """A root folder as the installer's initrd has it, with two interfaces, and the answers that debconf took."""

    def __init__(self, argv: list[str], root: Path) -> None:
        self.argv, self.root = argv, root
        for name, mac in (("enp0s3", "52:54:00:00:00:01"), ("enp0s4", MAC), ("bond0", MAC)):
            folder = root / "sys/class/net" / name
            folder.mkdir(parents=True)
            (folder / "address").write_text(f"{mac}\n")
            if name != "bond0":
                (folder / "device").mkdir()
        for place in ("bootpilot", "sbin", "etc/bootpilot", "fakes"):
            (root / place).mkdir(parents=True)
        (root / "sbin/udhcpc").symlink_to("/bin/busybox")
        for name, does in (("udevadm", ":"), ("debconf-set-selections", f'cat "$1" >"{root}/taken"')):
            (root / "fakes" / name).write_text(f"#!/bin/sh\n{does}\n")
            (root / "fakes" / name).chmod(0o755)
        (root / "etc/bootpilot/progress.sh").write_text(f"#!/bin/sh\n: >{root}/progress\n")
        (root / "etc/bootpilot/progress.sh").chmod(0o755)

    def answers(self, note: dict[str, Any]) -> list[str]:
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in {"version": 1, **note}.items())
        (self.root / "bootpilot/boot.json").write_text("{\n" + lines + "\n}\n")
        words = [self.argv[0], self.argv[1].replace("PATH=", f"PATH={self.root}/fakes:", 1), *self.argv[2:]]
        environment = {**os.environ, "EARLY_ROOT": str(self.root)}
        done = subprocess.run([*words, str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return (self.root / "taken").read_text().splitlines()


@pytest.fixture(params=["busybox", "dash"])
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Board:
    return Board(start_argv(request.param, tmp_path), tmp_path / "root")


def test_by_dhcp_it_asks_on_the_same_interface_with_the_same_client_id(board: Board) -> None:
    assert board.answers(DHCP) == ["d-i netcfg/choose_interface select enp0s4"]
    asked = subprocess.run(["sh", str(board.root / "sbin/udhcpc"), "--help"], capture_output=True, text=True, timeout=60)
    assert "BusyBox" in asked.stdout + asked.stderr
    assert "-C -x 0x3d:0042503031" in (board.root / "sbin/udhcpc").read_text()
    assert not (board.root / "sbin/udhcpc").is_symlink()


@pytest.mark.parametrize(
    ("address", "mask"),
    [("192.0.2.7/24", "255.255.255.0"), ("192.0.2.7/20", "255.255.240.0"), ("192.0.2.7/32", "255.255.255.255"),
     ("10.1.2.3/9", "255.128.0.0")],
)  # fmt: skip
def test_a_static_address_is_answered_whole(address: str, mask: str, board: Board) -> None:
    note = {**STATIC, "address": address, "gateway": "192.0.2.1", "dns": ["192.0.2.2", "192.0.2.3"]}
    assert board.answers(note) == [
        "d-i netcfg/choose_interface select enp0s4",
        "d-i netcfg/disable_autoconfig boolean true",
        f"d-i netcfg/get_ipaddress string {address.partition('/')[0]}",
        f"d-i netcfg/get_netmask string {mask}",
        "d-i netcfg/get_gateway string 192.0.2.1",
        "d-i netcfg/get_nameservers string 192.0.2.2 192.0.2.3",
        "d-i netcfg/confirm_static boolean true",
    ]


def test_a_static_address_of_ipv6_keeps_its_prefix(board: Board) -> None:
    answers = board.answers({**STATIC, "address": "2001:db8::7/64", "gateway": "2001:db8::1", "dns": ["2001:db8::2"]})
    assert answers[2:4] == ["d-i netcfg/get_ipaddress string 2001:db8::7/64", "d-i netcfg/get_gateway string 2001:db8::1"]


def test_an_unknown_mac_leaves_the_choice_to_the_installer(board: Board) -> None:
    assert board.answers({**DHCP, "mac": "02:00:00:00:00:01", "client_id": ""}) == []
    assert (board.root / "sbin/udhcpc").is_symlink()
