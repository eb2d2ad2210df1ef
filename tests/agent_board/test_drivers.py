"""Loading drivers: this machine's own devices, the kernel's own events, and a modprobe that only writes down its words."""

import os
import select
import subprocess
from pathlib import Path

import pytest

from bootpilot_agent.drivers import ALIASES_PER_CALL, DENIED, MOST_TROUBLE, Coldplug, wanted_aliases
from tests.agent_board.own_network import in_own_network

NIC = "pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00"
GRAPHICS = "pci:v00001234d00001111sv00001AF4sd00001100bc03sc00i00"
SOUND = "usb:v0D8Cp0014d0100dc00dsc00dp00ic01isc01ip00in00"
ETHERNET_NODE = "of:NethernetT(null)Callwinner,sun4i-a10-emac"


@pytest.fixture
def modprobe_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin/modprobe"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >>{tmp_path}/calls\necho END >>{tmp_path}/calls\necho "no such thing" >&2\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path / "calls"


def test_each_alias_is_tried_once_and_none_that_booting_must_not_load() -> None:
    aliases = [NIC, GRAPHICS, ETHERNET_NODE, NIC, SOUND]
    assert wanted_aliases(aliases, set()) == [NIC, ETHERNET_NODE]
    assert wanted_aliases(aliases, {NIC}) == [ETHERNET_NODE]


def test_everything_denied_has_its_reason() -> None:
    assert all(pattern and reason for pattern, reason in DENIED)


def test_all_devices_of_this_machine_are_tried_in_as_few_calls_as_can_be(
    modprobe_calls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    present = {path.read_text().strip() for path in Path("/sys/devices").rglob("modalias")}
    coldplug = Coldplug()
    count = coldplug.start()
    calls = modprobe_calls.read_text().removesuffix("END\n").split("END\n")
    assert len(calls) == -(-count // ALIASES_PER_CALL)
    assert all(call.splitlines()[:4] == ["-a", "-b", "-q", "--"] for call in calls)
    tried = {alias for call in calls for alias in call.splitlines()[4:]}
    assert len(tried) == count
    assert tried & present
    assert capsys.readouterr().out.count("drivers: no such thing") == 1
    assert coldplug.start() == count
    assert modprobe_calls.read_text().count("END\n") == len(calls)  # all have been tried, so nothing is started again


def test_what_init_tried_is_not_tried_again(modprobe_calls: Path, tmp_path: Path) -> None:
    present = sorted({path.read_text().strip() for path in Path("/sys/devices").rglob("modalias")})
    (tmp_path / "tried").write_text("".join(f"{alias}\n" for alias in present))
    assert Coldplug(tried_by_init=tmp_path / "tried").start() == len(present)
    assert not modprobe_calls.exists() or modprobe_calls.read_text() == ""


def test_devices_that_no_driver_took_are_listed(modprobe_calls: Path) -> None:
    found = Coldplug().driverless()
    assert all(device.path.startswith("/sys/devices/") and device.modalias for device in found)
    assert not any((Path(device.path) / "driver").exists() for device in found)


@in_own_network
def test_the_kernels_own_events_wake_it_and_what_needs_no_driver_is_passed_over() -> None:
    coldplug = Coldplug()
    assert select.select([coldplug], [], [], 0)[0] == []
    subprocess.run(["ip", "link", "add", "eth0", "type", "veth"], check=True)
    assert select.select([coldplug], [], [], 10)[0] == [coldplug]
    assert coldplug.poll() == 0
    assert select.select([coldplug], [], [], 0)[0] == []


def test_without_modprobe_it_goes_on_and_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert Coldplug().start() > 0
    assert "cannot be started" in capsys.readouterr().out


def test_a_modprobe_that_complains_of_everything_is_quoted_once_and_not_at_length(
    modprobe_calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trouble = tmp_path / "trouble"
    odd = [f"could not insert 'odd{number}': Exec format error" for number in range(1000)]
    absent = "modprobe: ERROR: could not insert 'padlock_sha': No such device"
    trouble.write_text("\n".join([absent, *odd, *odd]) + "\n")
    coldplug = Coldplug(trouble_of_init=trouble)
    coldplug.start()
    coldplug.start()
    said = capsys.readouterr().out
    assert said.count("could not insert 'odd0'") == 1
    assert 0 < said.count("Exec format error") <= MOST_TROUBLE
    assert said.count("more trouble of this kind is not shown") == 1
    assert "padlock" not in said
