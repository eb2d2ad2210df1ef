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
from scripts.lab.chain import Built, Wiring, make_guest, publish, server_url
from tests.qemu.conftest import Boot
from tests.qemu.recordings import check_recording
from tests.qemu.waiting import wait_for_events

CHECKOUT = Path(__file__).parents[2]
PYTHONPATH = ":".join(str(CHECKOUT / name) for name in ("", "agent", "server-stub"))
TIMES = 3
LIMIT_S = 1800


def replay(path: Path, *words: str) -> Any:
    """The verdict of scripts/replay's own program, in a network in which there is nothing but a loopback."""
    argv = ["unshare", "--map-root-user", "--net", "--", sys.executable, "-B", "-m", "scripts.replaying", str(path), "--json"]
    done = subprocess.run(
        [*argv, *words], env={**os.environ, "PYTHONPATH": PYTHONPATH}, capture_output=True, text=True, timeout=LIMIT_S
    )
    assert done.stdout, done.stderr[-8000:]
    return json.loads(done.stdout)


@pytest.mark.long
def test_a_boot_recorded_in_qemu_is_the_same_three_times_of_three(
    built: Callable[[str], Built], server: BootServer, boot: Boot, folder: Path
) -> None:
    """With its artifacts at hand the recorded payload itself runs in the end, else one that stands in for it."""
    server.start()
    publish(server, built("arm64"), record=True)
    wiring = Wiring(servers=(server_url(server),), forward_port=free_port(), dead_nic_first=True)
    guest = make_guest(built("arm64"), "recorded", folder, wiring)
    with boot(guest) as (_, verdict):
        wait_for_events(server, "handover", "payload-up")
        check_recording(server, guest, verdict, folder)
    server.stop()
    path = folder / f"boot{recording.SUFFIX}"
    assert replay(path)["verdict"] == "same"
    found = replay(path, "--runner", "qemu", "--times", str(TIMES))
    assert found["verdicts"] == ["same"] * TIMES, found
    assert [note for note in found["notes"] if "was not compared" in note] == []
    assert any("the stand-in ran" in note and "of this boot" in note for note in found["notes"])
    found = replay(path, "--runner", "qemu", "--artifacts", str(server.home / "artifacts"))
    assert found["verdict"] == "same", found
    assert any("the recorded payload ran" in note and "of this boot" in note for note in found["notes"])
