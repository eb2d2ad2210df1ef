"""What a harness leaves behind that is killed in the middle of a boot: nothing."""

import subprocess
import sys
import time
from pathlib import Path

from tests.fakes.kernels import bzimage

TIMEOUT_S = 60.0
# -S: QEMU starts no CPU, so nothing of the made-up kernel ever runs.
HARNESS = """
import sys, time
from pathlib import Path
from scripts.lab.guest import DirectBoot, Guest, Identity
from scripts.lab.machines import MACHINES
from scripts.lab.vm import start_guest

folder = Path(sys.argv[1])
boot = DirectBoot(folder / "kernel", folder / "kernel", "")
guest = Guest(MACHINES["amd64"], Identity.named("ends"), boot, (), folder, extra=("-S", "-pidfile", str(folder / "pid")))
with start_guest(guest):
    print((folder / "pid").read_text().strip(), flush=True)
    time.sleep(600)
"""


def test_a_simulated_board_ends_with_the_harness_that_started_it(folder: Path) -> None:
    (folder / "kernel").write_bytes(bzimage())
    with subprocess.Popen([sys.executable, "-c", HARNESS, str(folder)], stdout=subprocess.PIPE, text=True) as harness:
        assert harness.stdout is not None
        program = Path("/proc", harness.stdout.readline().strip(), "cmdline")
        assert b"qemu-system-x86_64" in program.read_bytes()
        harness.kill()
    deadline = time.monotonic() + TIMEOUT_S
    while program.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not program.exists()
