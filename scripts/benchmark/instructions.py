"""Counts the instructions that a loader executes until its first request, on a single emulated CPU.

QEMU in -icount mode counts them while it records a run for replay (docs/system/replay.rst); `query-replay` tells the count.
Waiting costs none, so this is what a slower board would pay, whatever this machine is doing.
"""

import time
from dataclasses import replace

from scripts.benchmark.relay import Relay
from scripts.lab.errors import LabError
from scripts.lab.guest import Guest
from scripts.lab.verdict import USER_SPACE
from scripts.lab.vm import RunningGuest, start_guest

DEADLINE_S = 600.0


def count_until_request(guest: Guest, relay: Relay) -> int:
    """Instructions between the first program's start and the first request. Raises LabError."""
    relay.start_over()
    machine = replace(guest.machine, cpus=1)
    record = f"shift=0,rr=record,rrfile={guest.folder / 'replay'}"
    options = ("-icount", record, "-object", "filter-replay,id=replay,netdev=net0")
    with start_guest(replace(guest, machine=machine, extra=options)) as running:
        running.wait_for_line(USER_SPACE, DEADLINE_S)
        before = _executed(running)
        while not relay.traffic.first_request_s:
            if running.elapsed_s() > DEADLINE_S or not running.is_running():
                raise LabError("no request under -icount; the console's end:\n" + running.console()[-2000:])
            time.sleep(0.005)
        return _executed(running) - before


def _executed(running: RunningGuest) -> int:
    answer = running.qmp.command("query-replay")
    if not isinstance(answer, dict) or not isinstance(answer.get("icount"), int):
        raise LabError(f"QEMU tells no instruction count: {answer!r}")
    return int(answer["icount"])
