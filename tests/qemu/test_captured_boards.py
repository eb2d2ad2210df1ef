"""scripts/capture-board on a whole machine: its tree tells the agent what the agent itself told of that machine."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bootpilot_agent.card import Card
from bootpilot_agent.cpio import regular, write_cpio
from bootpilot_agent.hardware import read_inventory
from bootpilot_agent.identity import read_evidence
from bootpilot_agent.recorded_http import HttpLine
from scripts.capturing.archive import read_archive
from scripts.capturing.tree import write_root
from scripts.lab.boot_server import BootServer, free_port
from scripts.lab.chain import Built, Wiring, make_guest, publish, server_url
from scripts.lab.guest import Guest
from scripts.lab.vm import start_guest
from tests.qemu.conftest import Boot
from tests.qemu.recordings import check_recording, of
from tests.qemu.waiting import wait_for_events

HERE = Path(__file__).parent
CAPTURE_BOARD = HERE.parents[1] / "scripts/capture-board"
BEGIN, END = "capture: begin", "capture: end"


def captured(guest: Guest) -> bytes:
    """What capture-board packed on this machine, off its console."""
    with start_guest(guest) as running:
        running.wait_for_line(END, guest.machine.deadline_s)
        lines = [line.text.strip() for line in running.lines]
    return base64.b64decode("".join(lines[lines.index(BEGIN) + 1 : lines.index(END)]), validate=True)


@pytest.mark.long
def test_a_machine_that_was_captured_tells_what_the_agent_told_of_it(
    built: Callable[[str], Built], server: BootServer, boot: Boot, folder: Path
) -> None:
    """Device tree included: the same machine boots its card once as a board, and once into a shell with the script."""
    server.start()
    publish(server, built("arm64"), record=True)
    wiring = Wiring(servers=(server_url(server),), forward_port=free_port(), dead_nic_first=True)
    guest = make_guest(built("arm64"), "captured", folder, wiring)
    with boot(guest) as (_, verdict):
        wait_for_events(server, "handover", "payload-up")
        found = check_recording(server, guest, verdict, folder)
    report = next(json.loads(line.body.content or b"") for line in of(found, HttpLine) if line.url.endswith("/v1/boot"))
    extra = folder / "capture.cpio"
    with extra.open("wb") as stream:
        write_cpio([regular("capture", HERE / "capture_init", 0o755), regular("capture-board", CAPTURE_BOARD)], stream)
    again = make_guest(built("arm64"), "captured", folder, wiring, ("rdinit=/capture",), (extra,))
    write_root(read_archive(captured(again)), folder / "tree")
    check_tree(folder / "tree", report)
    assert (folder / "tree/sys/firmware/fdt").stat().st_size > 1000


def check_tree(tree: Path, report: Any) -> None:
    assert [piece.to_json() for piece in read_evidence(tree)] == report["evidence"]
    card = (tree / "proc/cmdline").read_text().partition("bootpilot.card=PARTUUID=")[2].split()[0]
    inventory = read_inventory(tree, Card(card, "", "", "", b""), "arm64")
    told = json.loads(json.dumps(inventory.to_json()))
    assert {name: told[name] for name in told if name != "memory_bytes"} == {
        name: report[name] for name in told if name != "memory_bytes"
    }
    # The script's own archive lies in memory, too.
    assert abs(told["memory_bytes"] - report["memory_bytes"]) < 1 << 20
