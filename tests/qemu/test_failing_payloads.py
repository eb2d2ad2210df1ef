"""Payloads that a board cannot hold, that die, or that hang: the board says so or comes back, or the server notices."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.benchmark.baseline import padded_initrd
from scripts.lab.boot_server import BootServer
from scripts.lab.chain import Built, Wiring, make_guest, publish, server_url
from scripts.lab.site_folder import site_files
from scripts.lab.verdict import JUMP
from scripts.lab.vm import start_guest
from tests.qemu.waiting import wait_for

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


def test_the_server_notices_a_payload_that_hangs(built: Callable[[str], Built], server: BootServer, folder: Path) -> None:
    server.start()
    made = built("amd64")
    machine = replace(made.machine, payload_arguments=(*made.machine.payload_arguments, "rdinit=/bin/sh"))
    kernel = server.add_artifact(made.workload.kernel, "vmlinuz")
    initrd = server.add_artifact(made.workload.initrd, "initrd", made.workload.initrd_unpacked_bytes)
    files = site_files(machine, kernel, initrd)
    server.apply({name: text.replace("expects =", "payload_up_deadline_s = 30\nexpects =") for name, text in files.items()})
    guest = make_guest(made, "hangs", folder, Wiring(servers=(server_url(server),)))
    with start_guest(guest) as running:
        # A shell that waits for somebody at the console, where nobody is.
        running.wait_for_line(JUMP.pattern, DEADLINE_S)
        wait_for(lambda: server.json("node", "list")[0]["state"] == "payload silent", DEADLINE_S)
        assert not any("Kernel panic" in line.text for line in running.lines)
