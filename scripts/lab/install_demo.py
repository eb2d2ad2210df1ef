"""The demo of an installation: a board installs itself, is switched off and on, and in the end has no boot server."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from scripts.lab.boot_server import BootServer, fetch, free_port
from scripts.lab.chain import Built, Wiring, booted, make_guest, server_url
from scripts.lab.disk_images import make_disk
from scripts.lab.disks import Bus
from scripts.lab.errors import LabError
from scripts.lab.guest import Guest
from scripts.lab.install_site import DiskWish, InstallWish
from scripts.lab.installing import announce, install_kit, store_kit, want_install
from scripts.lab.machine import VerdictBy
from scripts.lab.vm import RunningGuest
from scripts.lab.watch import Clock, ConsoleWatch, watched_events

DISK_MIB = 1024
# The board waits so long for a server before it starts its disk by itself.
ALONE_AFTER_S = 30
# Loader, installer and system, one after the other.
DEADLINES = 3


@dataclass(frozen=True)
class Show:
    """Where the board's files and consoles lie, how its boots are shown, and what is done before its last switching off."""

    folder: Path
    clock: Clock
    whole_console: bool
    stay: Callable[[RunningGuest], None]


def demonstrate_install(built: Built, name: str, show: Show) -> None:
    """Three times power on, with what is on the disk in between. Raises what went wrong."""
    machine, clock = built.machine, show.clock
    if machine.verdict is not VerdictBy.PORT or not machine.virtio:
        raise LabError(f"{machine.title}: the demo of an installation needs a disk on PCI", "leave --board out")
    server = BootServer(show.folder / "home")
    try:
        server.start()
        kit = install_kit(built, "minimal")
        wish = InstallWish(disk=DiskWish(transports=("sata",)), autonomous_after_s=ALONE_AFTER_S)
        want_install(server, kit, store_kit(server, kit), wish)
        clock.say(
            f"boot server: {server.url}/, with an installer and a root file system of {kit.rootfs.size_bytes / 1e6:.1f} MB"
        )
        port = free_port()
        guest = make_guest(built, name, show.folder, Wiring(servers=(server_url(server),), forward_port=port))
        guest = replace(guest, disks=(make_disk(show.folder / "disk.img", Bus.SATA, "DEMO", DISK_MIB),))
        announce(server, guest)
        clock.say(f"switching on: {machine.title}, which is on the server's list, with an empty SATA disk of {DISK_MIB} MiB")
        with watched_events(server, clock):
            with _up(guest, 1, show):
                _check_boot(clock, port, 1, "installed, and straight on into the system on its disk")
            clock.say("switched off, and on again")
            with _up(guest, 2, show):
                _check_boot(clock, port, 2, "started from its disk, as its boot server said")
        server.stop()
        clock.say("switched off; so is the boot server. The board is switched on again")
        with _up(guest, 3, show) as running:
            _check_boot(clock, port, 3, f"started from its disk, because no server answered for {ALONE_AFTER_S} s")
            print(f"\n  page of the board, from its disk  http://127.0.0.1:{port}/\n", flush=True)
            show.stay(running)
    finally:
        server.stop()


@contextmanager
def _up(guest: Guest, number: int, show: Show) -> Iterator[RunningGuest]:
    """The board until its disk's system has told that it runs; afterwards it is off."""
    console = ConsoleWatch(show.clock, show.folder / f"console-{number}.log", whole=show.whole_console)
    with booted(guest, DEADLINES * guest.machine.deadline_s, show.clock.say, console) as (running, _):
        yield running


def _check_boot(clock: Clock, port: int, number: int, how: str) -> None:
    """The system's own page counts its boots on the disk. Raises LabError where that is another count."""
    status = json.loads(fetch(port, "/status.json"))
    if status["boots"] != number:
        raise LabError(f"the system on the disk counts boot {status['boots']}, expected {number}: is it the one of before?")
    clock.say(f"system    up: boot {number} of this disk, node {status['node_id']}: {how}")
