"""Whole boots: the loader's kernel, the agent, a boot server, kexec, and the second kernel that gives the verdict itself."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.lab.boot_server import BootServer, ServerEvent, free_port
from scripts.lab.chain import Built, Wiring, make_guest, publish, server_url
from scripts.lab.demo import check_page
from tests.qemu.conftest import Boot
from tests.qemu.recordings import check_recording
from tests.qemu.waiting import wait_for, wait_for_events

LATE_S = 60.0
STILL_UP_S = 20.0
WATCHDOG_S = 10


@pytest.mark.parametrize("arch", ["arm64", "armhf"])
def test_a_board_boots_from_its_card_through_u_boot_to_a_page_in_ram(
    arch: str, built: Callable[[str], Built], server: BootServer, boot: Boot, folder: Path
) -> None:
    """And what the board took down on its way is on the server, with all that a replay needs."""
    server.start()
    publish(server, built(arch), record=True)
    port = free_port()
    wiring = Wiring(servers=(server_url(server),), forward_port=port, dead_nic_first=True)
    guest = make_guest(built(arch), "card", folder, wiring)
    with boot(guest) as (running, verdict):
        check_page(port, guest, verdict)
        assert "nr_cpus=1" in running.console()
        assert (verdict.cpus, verdict.serial) == (guest.machine.cpus, guest.identity.serial)
        assert verdict.mac == guest.identity.mac
        wait_for_events(server, "handover", "payload-up")
        check_recording(server, guest, verdict, folder)


@pytest.mark.long
def test_a_pc_finds_a_server_that_comes_a_minute_late_past_a_dead_cable(
    built: Callable[[str], Built], server: BootServer, boot: Boot, folder: Path
) -> None:
    """And a payload that does not feed the watchdog is left alone: the agent has stopped it before the jump."""
    server.start()
    publish(server, built("amd64"))
    server.stop()
    port = free_port()
    wiring = Wiring(servers=(server_url(server),), forward_port=port, dead_nic_first=True)
    guest = make_guest(built("amd64"), "pc", folder, wiring, (f"bootpilot.watchdog={WATCHDOG_S}",))
    late = threading.Timer(LATE_S, server.start)
    late.start()
    try:
        with boot(replace(guest, watchdog=True)) as (running, verdict):
            assert running.elapsed_s() > LATE_S
            check_page(port, guest, verdict)
            assert (verdict.cpus, verdict.serial) == (guest.machine.cpus, guest.identity.serial)
            time.sleep(STILL_UP_S)
            assert "watchdog: i6300ESB" in running.console()
            assert running.is_running()
            assert "WATCHDOG" not in running.qmp.names()
    finally:
        late.cancel()
        late.join()


def test_a_changed_byte_on_the_servers_disk_is_never_booted_and_named_and_boots_once_repaired(
    built: Callable[[str], Built], server: BootServer, boot: Boot, folder: Path
) -> None:
    """The server is named by DHCP here: QEMU's own gives its URL as the boot file."""
    server.start()
    publish(server, built("amd64"))
    damaged = change_one_byte(server)
    guest = make_guest(built("amd64"), "changed byte", folder, Wiring(bootfile=server_url(server)))
    failures: dict[str, ServerEvent] = {}

    def repair_after_two_failures() -> None:
        def two_boots_have_failed() -> bool:
            failures.update((event.boot_id, event) for event in server.events() if event.name == "failed")
            return len(failures) >= 2

        wait_for(two_boots_have_failed)
        change_one_byte(server, damaged)

    repair = threading.Thread(target=repair_after_two_failures, daemon=True)
    repair.start()
    with boot(guest) as (running, _verdict):
        repair.join()
        assert {failure.data["stage"] for failure in failures.values()} == {"verify"}
        assert running.console().count("kexec_core: Starting new kernel") == 1
        wait_for_events(server, "payload-up")


def change_one_byte(server: BootServer, path: Path | None = None) -> Path:
    """Flip a bit in the middle of an artifact (the largest, if none is named), as a failing disk does."""
    path = path or max((server.home / "artifacts" / "sha256").iterdir(), key=lambda file: file.stat().st_size)
    mode = path.stat().st_mode
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.seek(path.stat().st_size // 2)
        byte = stream.read(1)
        stream.seek(-1, 1)
        stream.write(bytes([byte[0] ^ 1]))
    path.chmod(mode)
    return path
