"""A hung agent must not leave a board silent for ever: the hardware watchdog resets the machine."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bootpilot_agent.cpio import directory, regular, write_cpio
from scripts.lab.boot_server import BootServer
from scripts.lab.chain import Built, Wiring, make_guest, publish, server_url
from scripts.lab.guest import DirectBoot, Guest
from scripts.lab.vm import start_guest

DEADLINE_S = 300.0

# Put in kexec's place: its parent, the agent, stands still from then on, as it would in a driver that never returns.
KEXEC_THAT_HANGS_THE_AGENT = """\
#!/bin/sh
echo "test: stopping process $PPID" >/dev/console
kill -STOP "$PPID"
sleep 1000000
"""


def with_overlay(guest: Guest, script: str) -> Guest:
    """The same guest whose initramfs has another /usr/sbin/kexec: of archives joined together, the last one wins."""
    assert isinstance(guest.boot, DirectBoot)
    joined = guest.folder / "joined.img"
    content = guest.boot.initramfs.read_bytes()
    with joined.open("wb") as stream:
        stream.write(content + b"\0" * (-len(content) % 4))
        write_cpio([directory("usr"), directory("usr/sbin"), regular("usr/sbin/kexec", script.encode(), 0o755)], stream)
    return replace(guest, boot=replace(guest.boot, initramfs=joined))


@pytest.mark.long
def test_a_hung_agent_is_reset_by_the_hardware_watchdog(
    built: Callable[[str], Built], server: BootServer, folder: Path
) -> None:
    server.start()
    publish(server, built("amd64"))
    guest = make_guest(built("amd64"), "hang", folder, Wiring(servers=(server_url(server),)), ("bootpilot.watchdog=10",))
    guest = with_overlay(replace(guest, watchdog=True, stop_at_reset=False), KEXEC_THAT_HANGS_THE_AGENT)
    with start_guest(guest) as running:
        running.wait_for_line(r"test: stopping process", DEADLINE_S)
        assert "WATCHDOG" not in running.qmp.names()
        running.wait_for_event("WATCHDOG", DEADLINE_S)
        running.wait_for_event("RESET", DEADLINE_S)
        stopped = next(index for index, line in enumerate(running.lines) if "test: stopping process" in line.text)
        # It does not stay down either: the loader starts anew.
        running.wait_for_line(r"Linux version", DEADLINE_S, after=stopped)
