"""Payloads that a board cannot hold, or that die: it says so, or comes back to its loader, and asks again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.benchmark.baseline import padded_initrd
from scripts.lab.boot_server import BootServer
from scripts.lab.chain import Built, Wiring, make_guest, publish, server_url
from scripts.lab.vm import start_guest

pytestmark = pytest.mark.long
DEADLINE_S = 600.0
PAYLOAD_BYTES = 64 << 20
# On top of a kernel of 8 MB that wants 64 MB, such a payload boots from about 350 MiB on (scripts/bench tells).
TOO_LITTLE_MIB = 315


def test_a_board_with_a_tenth_too_little_memory_says_so_before_it_fetches_anything(
    built: Callable[[str], Built], server: BootServer, folder: Path
) -> None:
    server.start()
    made = built("amd64")
    large = padded_initrd(made.workload.initrd, PAYLOAD_BYTES, folder / "initrd")
    unpacked = made.workload.initrd_unpacked_bytes + PAYLOAD_BYTES
    publish(server, replace(made, workload=replace(made.workload, initrd=large, initrd_unpacked_bytes=unpacked)))
    guest = make_guest(made, "small", folder, Wiring(servers=(server_url(server),)))
    with start_guest(replace(guest, memory_mib=TOO_LITTLE_MIB)) as running:
        running.wait_for_line(r"FAILED at memory: .* needed to load the payload", DEADLINE_S)
        running.wait_for_line(r"next try in", DEADLINE_S)
        said = "\n".join(line.text for line in running.lines)
        assert "jumping into" not in said
        assert "MiB/s" not in said
    (failed,) = [event for event in server.events() if event.name == "failed"]
    assert failed.data["stage"] == "memory"


def test_a_board_whose_payload_panics_comes_back_to_its_loader_and_asks_again(
    built: Callable[[str], Built], server: BootServer, folder: Path
) -> None:
    server.start()
    made = built("amd64")
    # Without a first program and a root file system a kernel panics, and reboots after panic= seconds.
    arguments = (*made.machine.payload_arguments, "rdinit=/nowhere", "init=/nowhere", "root=none")
    publish(server, replace(made, machine=replace(made.machine, payload_arguments=arguments)))
    guest = make_guest(made, "panics", folder, Wiring(servers=(server_url(server),)))
    with start_guest(replace(guest, stop_at_reset=False)) as running:
        panic = running.wait_for_line(r"Kernel panic", DEADLINE_S)
        running.wait_for_line(r"plan: boot ", DEADLINE_S, after=running.lines.index(panic))
