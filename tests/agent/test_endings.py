"""Reboot and power off: with real programs that fail or hang, and in whole boots."""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bootpilot_agent.devices import Devices
from bootpilot_agent.ending import POWER_OFF, REBOOT, Ending, leave
from bootpilot_agent.errors import CommandError
from bootpilot_agent.run import Completed, run
from tests.fakes.board import FakeBoard
from tests.fakes.boot_server import FakeBootServer

INIT = Path(__file__).parents[2] / "initramfs/overlay/init"


def devices_with(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Devices:
    """A board whose `reboot` and `poweroff` are this shell script, and no others can be found."""
    (folder / "bin").mkdir()
    for name in ("reboot", "poweroff"):
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{program}\n")
        (folder / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "bin"))

    def run_briefly(argv: Sequence[str], *, timeout_s: float, check: bool = True) -> Completed:
        return run(argv, timeout_s=min(timeout_s, 0.5), check=check)

    return replace(FakeBoard(folder).edges().devices, run=run_briefly)


@pytest.mark.parametrize(("ending", "key"), [(REBOOT, "b"), (POWER_OFF, "o")])
@pytest.mark.parametrize(
    ("program", "complaint"),
    [("echo busy >&2; exit 1", r"came back \(exit code 1\): busy"), ("exec /bin/sleep 1000", "still running after")],
)
def test_where_the_program_fails_or_hangs_the_kernel_itself_is_told(
    ending: Ending, key: str, program: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = devices_with(program, tmp_path, monkeypatch)
    with pytest.raises(CommandError, match=complaint):
        leave(ending, devices)
    assert (devices.root / "proc/sysrq-trigger").read_text() == key


def test_a_kernel_without_sysrq_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = devices_with("exit 1", tmp_path, monkeypatch)
    (devices.root / "proc/sysrq-trigger").mkdir()
    with pytest.raises(CommandError, match="SysRq b: "):
        leave(REBOOT, devices)


def test_disks_that_cannot_be_flushed_hold_no_reboot_up(tmp_path: Path) -> None:
    board = FakeBoard(tmp_path)

    def fail() -> None:
        raise OSError(os.strerror(5))

    with pytest.raises(CommandError, match="came back"):
        leave(Ending(("true",), "b"), replace(board.edges().devices, sync=fail))
    assert "sync: Input/output error" in board.console


def test_a_reboot_is_left_to_the_watchdog_and_one_that_fails_is_tried_again(server: FakeBootServer, tmp_path: Path) -> None:
    server.on("POST", "/v1/boot", server.give_order("reboot"))
    board = FakeBoard(tmp_path, servers=(server.url,), shell=False)
    board.run.failing_ends = 2
    assert board.boot().how == "reboot -f", board.console
    assert board.run.commands.count(["reboot", "-f"]) == 3
    assert (board.root / "proc/sysrq-trigger").read_text() == "b"
    # From the first attempt on it is not fed again.
    assert board.watchdog.calls[-1] == "starve"


def test_a_board_that_powers_off_is_not_woken_by_its_watchdog(server: FakeBootServer, tmp_path: Path) -> None:
    server.on("POST", "/v1/boot", server.give_order("poweroff"))
    board = FakeBoard(tmp_path, servers=(server.url,))
    assert board.boot().how == "poweroff -f"
    assert board.watchdog.calls[-1] == "stop"


def test_the_loaders_own_reboot_goes_on_where_the_program_never_comes_back(tmp_path: Path) -> None:
    found = re.search(r"^reboot_for_ever\(\) \{\n.*?^\}\n", INIT.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    programs = {
        "reboot": f"while [ ! -e {tmp_path}/over ]; do /bin/sleep 0.1; done",
        # Waits cost nothing here, and after the fourth the loop has been seen often enough.
        "sleep": f'echo "$1" >>{tmp_path}/waits; [ "$(/usr/bin/wc -l <{tmp_path}/waits)" -lt 4 ] || kill "$PPID"',
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    trigger = tmp_path / "sysrq-trigger"
    script = 'say() { echo "$*"; }\n' + found[0].replace("/proc/sysrq-trigger", str(trigger)) + "reboot_for_ever"
    subprocess.run(["/bin/sh", "-c", script], env={"PATH": str(tmp_path)}, stdout=subprocess.DEVNULL, timeout=60, check=False)
    (tmp_path / "over").touch()
    assert trigger.read_text() == "b\n"
    assert (tmp_path / "waits").read_text().split() == ["30", "30", "60", "30"]
