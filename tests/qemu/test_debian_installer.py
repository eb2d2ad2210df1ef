"""debian-installer on simulated boards: started by the agent, told what to do by the plan's files, stopped by its disk guard.

Its components come from a small archive on this machine (installer_mirror.py). Where the archive in reach has no partman for an
architecture, a stand-in runs what partman runs first; all else is Debian's own.
"""

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.lab.boot_server import BootServer, ServerEvent
from scripts.lab.chain import Built, Wiring, make_guest, server_url
from scripts.lab.disk_images import DiskState, make_disk
from scripts.lab.disks import Bus, Disk
from scripts.lab.guest import HOST_ADDRESS, Guest
from scripts.lab.machine import Machine, Start
from scripts.lab.machines import MACHINES
from scripts.lab.vm import RunningGuest, start_guest
from tests.qemu.installer_mirror import Release, make_mirror
from tests.qemu.small_card import CARD_ARGUMENT, write_card
from tests.qemu.waiting import wait_for

pytestmark = pytest.mark.long

RELEASE = "trixie"
# A kernel, and an installer of 100 MB unpacked, that load components: by then an emulated arm board has used half an hour.
VERDICT_S = 3600.0
DISK_MIB = 6000
# The installer unpacked takes 130 MB, and the loader held it twice before.
MEMORY_MIB = 2048
# As the installer would have it in an archive that is signed.
UNSIGNED = "d-i debian-installer/allow_unauthenticated boolean true\n"


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address, as boards see it, of the archive that will be below this folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing: hundreds of packages."""

    handler = functools.partial(Quiet, directory=str(folder / "mirror"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST_ADDRESS}:{web.server_address[1]}/"
        finally:
            web.shutdown()
            thread.join()


def import_installer(server: BootServer, arch: str, url: str) -> Path:
    """As an operator does; returns the installer's initrd."""
    words = ("import", "debian-installer", "--release", RELEASE, "--arch", arch, "--mirror", url)
    imported = server.json(*words, str(server.home / "site"))
    return server.home / "artifacts/sha256" / str(imported["initrd"])


def publish(server: BootServer, machine: Machine) -> None:
    """What a person fills in, a rule, and apply."""
    site, name = server.home / "site", f"debian-{RELEASE}-{machine.arch}"
    (server.home / "password").write_text("$6$salt$hash\n")
    (server.home / "secrets.toml").write_text(f'[debian-user-password]\nfile = "{server.home}/password"\n')
    profile = site / f"profiles/{name}.toml"
    text = profile.read_text()
    # The installer shows itself on the last console; what it would fetch from elsewhere is not there.
    for old, new in (
        ("disk_min_gb = 8", "disk_min_gb = 4"),
        ("ntp = true", "ntp = false"),
        ('services = "security, updates"', 'services = ""'),
        ("panic=30 ---", f"panic=30 console={machine.console} ---"),
    ):
        assert old in text
        text = text.replace(old, new)
    profile.write_text(text)
    with (site / "templates/debian-installer/preseed.cfg").open("a") as preseed:
        preseed.write(UNSIGNED)
    rule = f'priority = 10\nprofile = "{name}"\ninstall = "first"\nadmit = true\n[match]\narch = "{machine.arch}"\n'
    server.apply({"rules/all.toml": rule})


def board(parts: Built, server: BootServer, folder: Path) -> tuple[Guest, Path]:
    """A board with its card, and the card: where QEMU starts the loader itself, in a reader on USB, as no disk may be taken for
    one because of its bus.
    """
    name = f"installs {parts.machine.arch}"
    if parts.machine.start is Start.KERNEL:
        card = Disk(write_card(folder / "card.img", f'server = "{server_url(server)}"\n'), Bus.USB, "CARD1")
        guest = make_guest(parts, name, folder, Wiring(), (CARD_ARGUMENT,))
        return replace(guest, memory_mib=MEMORY_MIB, disks=(card,)), card.path
    guest = make_guest(parts, name, folder, Wiring(servers=(server_url(server),)))
    assert guest.boot.image is not None
    return replace(guest, memory_mib=MEMORY_MIB), guest.boot.image


def installer_events(server: BootServer) -> list[ServerEvent]:
    return [event for event in server.events() if event.source == "installer"]


def approve_once(server: BootServer) -> Callable[[], bool]:
    """A board that writes its disk is approved by name, as soon as it has asked."""

    def approved() -> bool:
        nodes = server.json("node", "list")
        for node in nodes:
            server.command("approve", node["node_id"], "--yes")
        return bool(nodes)

    return approved


@pytest.mark.parametrize("arch", ["amd64", "arm64", "armhf"])
def test_the_installer_starts_and_its_guard_refuses_two_disks(
    arch: str, built: Callable[[str], Built], server: BootServer, folder: Path
) -> None:
    machine = MACHINES[arch]
    server.start()
    guest, card = board(built(arch), server, folder)
    disks = tuple(make_disk(folder / f"disk{number}.img", Bus.SATA, f"DISK{number}", DISK_MIB) for number in (1, 2))
    guest = replace(guest, disks=(*guest.disks, *disks))
    before = DiskState.of([card, *(disk.path for disk in disks)])
    with served(folder / "archive") as url:
        initrd = import_installer(server, arch, url)
        make_mirror(Release(RELEASE, arch), initrd, folder / "archive")
        publish(server, machine)
        with start_guest(guest) as running:
            wait_for(approve_once(server), machine.deadline_s)
            verdict = wait_for_verdict(server, running)
    message = str(verdict.data["message"])
    assert (verdict.data["stage"], "2 disks fit, and exactly one has to" in message) == ("guard", True), message
    assert all(f"serial {disk.serial}" in message for disk in disks)
    stages = [event.data["stage"] for event in installer_events(server) if event.name == "installing"]
    assert stages[-1] == "partman-base"
    assert {"netcfg", "download-installer"} <= set(stages)
    assert before.changed() == []


def wait_for_verdict(server: BootServer, running: RunningGuest) -> ServerEvent:
    """The installer's `failed`; raises with the console's end where the machine ended before."""
    found: list[ServerEvent] = []

    def heard() -> bool:
        found[:] = [event for event in installer_events(server) if event.name == "failed"]
        assert found or running.is_running(), running.console()[-4000:]
        return bool(found)

    wait_for(heard, VERDICT_S)
    return found[0]
