"""A boot recorded in QEMU from its SD image runs again in QEMU, on a machine whose only network is its loopback."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bootpilot_agent import recording
from scripts.lab.boot_server import BootServer, free_port
from scripts.lab.chain import Built, Wiring, build_for, make_guest, publish, server_url
from scripts.lab.machines import BY_BOARD
from tests.qemu.conftest import Boot
from tests.qemu.recordings import check_recording
from tests.qemu.waiting import wait_for_events

CHECKOUT = Path(__file__).parents[2]
PYTHONPATH = ":".join(str(CHECKOUT / name) for name in ("", "agent", "server-stub"))
# The namespaces of faults/ need a user who can become nobody's root: not the root that --map-root-user makes.
OFFLINE = ("unshare", "--net", "--") if os.getuid() == 0 else ("unshare", "--user", "--map-current-user", "--net", "--")
TIMES = 3
LIMIT_S = 1800


def replay(path: Path, *words: str) -> Any:
    """The verdict of scripts/replay's own program, in a network in which there is nothing but a loopback."""
    argv = [*OFFLINE, sys.executable, "-B", "-m", "scripts.replaying", str(path), "--json", *words]
    done = subprocess.run(argv, env={**os.environ, "PYTHONPATH": PYTHONPATH}, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.stdout, done.stderr[-8000:]
    return json.loads(done.stdout)


def record_boot(built: Built, server: BootServer, boot: Boot, folder: Path) -> Path:
    """The recording of a boot from the machine's SD image, with the server's artifacts beside it."""
    server.start()
    publish(server, built, record=True)
    wiring = Wiring(servers=(server_url(server),), forward_port=free_port(), dead_nic_first=True)
    guest = make_guest(built, "recorded", folder, wiring)
    with boot(guest) as (_, verdict):
        wait_for_events(server, "handover", "payload-up")
        check_recording(server, guest, verdict, folder)
    server.stop()
    return folder / f"boot{recording.SUFFIX}"


def left_out(found: Any) -> list[str]:
    return [note for note in found["notes"] if "was not compared" in note]


@pytest.mark.long
def test_a_boot_recorded_in_qemu_is_the_same_three_times_of_three(
    built: Callable[[str], Built], server: BootServer, boot: Boot, folder: Path
) -> None:
    """With its artifacts at hand the recorded payload itself runs in the end, else one that stands in for it."""
    path = record_boot(built("arm64"), server, boot, folder)
    assert replay(path)["verdict"] == "same"
    found = replay(path, "--runner", "qemu", "--times", str(TIMES))
    assert found["verdicts"] == ["same"] * TIMES, found
    assert left_out(found) == []
    assert any("the stand-in ran" in note and "of this boot" in note for note in found["notes"])
    found = replay(path, "--runner", "qemu", "--artifacts", str(server.home / "artifacts"))
    assert found["verdict"] == "same", found
    assert any("the recorded payload ran" in note and "of this boot" in note for note in found["notes"])


@pytest.mark.long
def test_a_boot_of_this_machines_architecture_is_the_same_for_every_runner(
    server: BootServer, boot: Boot, folder: Path
) -> None:
    """From its card, by UEFI. Only the namespace has another machine's hardware."""
    path = record_boot(build_for(BY_BOARD["uefi-amd64"]), server, boot, folder)
    for runner, left in (("in-process", False), ("namespace", True), ("qemu", False)):
        found = replay(path, "--runner", runner)
        assert found["verdict"] == "same", found
        assert bool(left_out(found)) is left


@pytest.mark.long
def test_a_boot_of_another_board_runs_on_qemus_generic_one_and_the_verdict_says_what_that_leaves_out(folder: Path) -> None:
    """Recorded in namespaces, with the identity of an Orange Pi, from a server that was busy."""
    name, recordings = "server-503-with-retry-after", folder / "recordings"
    argv = [sys.executable, "-B", "-m", "scripts.faults", "--runs", "1", "--recordings", str(recordings), name]
    subprocess.run(argv, env={**os.environ, "PYTHONPATH": PYTHONPATH}, capture_output=True, timeout=LIMIT_S, check=True)
    found = replay(recordings / f"{name}{recording.SUFFIX}", "--runner", "qemu")
    assert found["verdict"] == "same", found
    assert any(note.startswith("nics was not compared: QEMU's generic board stands in") for note in left_out(found))
