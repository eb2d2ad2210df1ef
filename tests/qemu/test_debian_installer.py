"""debian-installer on simulated boards: started by the agent, told what to do by the plan's files; stopped by its disk guard,
or left to install a whole system.

Its components come from a small archive on this machine (installer_mirror.py). Where the archive in reach has no partman for an
architecture, a stand-in runs what partman runs first; all else is Debian's own.
"""

import contextlib
import functools
import http.client
import http.server
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.lab.boot_server import BootServer, ServerEvent, fetch, free_port
from scripts.lab.chain import Built, Wiring, make_guest, server_url
from scripts.lab.disk_images import DiskState, make_disk
from scripts.lab.disks import Bus, Disk
from scripts.lab.guest import HOST_ADDRESS, Guest
from scripts.lab.machine import Machine, Start
from scripts.lab.machines import MACHINES
from scripts.lab.verdict import JUMP, is_double_fault_after_jump
from scripts.lab.vm import RunningGuest, start_guest
from tests.conftest import LOST_KERNEL
from tests.qemu.debian_archive import Release
from tests.qemu.install_bench import MOST_LOST
from tests.qemu.installer_mirror import Mirror, make_mirror
from tests.qemu.small_card import CARD_ARGUMENT, write_card
from tests.qemu.waiting import wait_for

pytestmark = pytest.mark.long

RELEASE = "trixie"
# A kernel, and an installer of 100 MB unpacked, that load components: by then an emulated arm board has used half an hour.
VERDICT_S = 3600.0
# Of one power-on; the packages of a whole system are unpacked through an emulated CPU.
INSTALL_S = 3 * 3600.0
# Of the installer's steps, those that lead to a system on the disk; and what Bootpilot does between them.
STAGES = (
    *("partman-base", "guard", "unmarked", "bootstrap-base", "apt-setup-udeb", "pkgsel", "nobootloader", "finish-install"),
    "marked",
)
DISK_MIB = 6000
# The installer unpacked takes 130 MB, and the loader held it twice before.
MEMORY_MIB = 2048
# As the installer would have it in an archive that is signed.
UNSIGNED = "d-i debian-installer/allow_unauthenticated boolean true\n"

# The installed system's apt has no such question, and reads no archive without a signature unless told so.
UNSIGNED_APT = """\
#!/bin/sh
echo 'Acquire::AllowInsecureRepositories "true";' >/target/etc/apt/apt.conf.d/00unsigned
"""
# Where the installer is about to end: a page that asks the database, as somebody whom it does not know.
LEAVE_PAGE = """\
#!/bin/sh
cat >/target/var/www/html/status.php <<'END'
<?php mysqli_report(MYSQLI_REPORT_OFF); @mysqli_connect("localhost", "nobody"); echo mysqli_connect_errno();
END
"""
# ER_ACCESS_DENIED_ERROR and ER_ACCESS_DENIED_NO_PASSWORD_ERROR: MariaDB has answered.
REFUSED = (b"1045", b"1698")
# What the test adds to the plan's files, and where the installer runs it.
OWN_FILES = {
    "/usr/lib/base-installer.d/05unsigned": ("unsigned.sh", UNSIGNED_APT),
    "/usr/lib/finish-install.d/80page": ("leave-page.sh", LEAVE_PAGE),
}


@contextmanager
def served(mirror: Mirror) -> Iterator[str]:
    """The address of this archive as boards see it."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing: hundreds of packages."""

    handler = functools.partial(Quiet, directory=str(mirror.root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST_ADDRESS}:{web.server_address[1]}/"
        finally:
            web.shutdown()
            thread.join()


def import_installer(server: BootServer, arch: str) -> Path:
    """As an operator does; returns the installer's initrd."""
    words = ("import", "debian-installer", "--release", RELEASE, "--arch", arch)
    imported = server.json(*words, str(server.home / "site"))
    return server.home / "artifacts/sha256" / str(imported["initrd"])


def publish(server: BootServer, machine: Machine, mirror: str) -> None:
    """What a person fills in, a rule, and apply."""
    site, name = server.home / "site", f"debian-{RELEASE}-{machine.arch}"
    (server.home / "password").write_text("$6$salt$hash\n")
    (server.home / "secrets.toml").write_text(f'[debian-user-password]\nfile = "{server.home}/password"\n')
    profile = site / f"profiles/{name}.toml"
    text = profile.read_text()
    # The installer shows itself on the last console; what it would fetch from elsewhere is not there.
    for old, new in (
        ('# mirror = "http://mirror.example/debian"', f'mirror = "{mirror}"'),
        ("disk_min_gb = 8", "disk_min_gb = 4"),
        ("ntp = true", "ntp = false"),
        ('services = "security, updates"', 'services = ""'),
        ("panic=30 ---", f"panic=30 console={machine.console} ---"),
    ):
        assert old in text
        text = text.replace(old, new)
    for path, (template, content) in OWN_FILES.items():
        text += f'\n[[file]]\npath = "{path}"\ntemplate = "{template}"\nmode = "0755"\n'
        (site / "templates" / template).write_text(content)
    profile.write_text(text)
    with (site / "templates/debian-installer/preseed.cfg").open("a") as preseed:
        preseed.write(UNSIGNED)
    rule = f'priority = 10\nprofile = "{name}"\ninstall = "first"\nadmit = true\n[match]\narch = "{machine.arch}"\n'
    server.apply({"rules/all.toml": rule})


def board(parts: Built, server: BootServer, folder: Path, port: int | None = None) -> tuple[Guest, Path]:
    """A board with its card, and the card: where QEMU starts the loader itself, in a reader on USB, as no disk may be taken for
    one because of its bus. Its page is at `port`.
    """
    name = f"installs {parts.machine.arch}"
    if parts.machine.start is Start.KERNEL:
        card = Disk(write_card(folder / "card.img", f'server = "{server_url(server)}"\n'), Bus.USB, "CARD1")
        guest = make_guest(parts, name, folder, Wiring(forward_port=port), (CARD_ARGUMENT,))
        return replace(guest, memory_mib=MEMORY_MIB, disks=(card,)), card.path
    guest = make_guest(parts, name, folder, Wiring((server_url(server),), forward_port=port))
    assert guest.boot.image is not None
    return replace(guest, memory_mib=MEMORY_MIB), guest.boot.image


def installer_events(server: BootServer) -> list[ServerEvent]:
    return [event for event in server.events() if event.source == "installer"]


def approve_once(server: BootServer) -> Callable[[], bool]:
    """A board that writes its disk is approved by name, as soon as it has asked."""
    nodes: list[str] = []

    def approved() -> bool:
        if not nodes:
            nodes.extend(str(node["node_id"]) for node in server.json("node", "list"))
            for node in nodes:
                server.command("approve", node, "--yes")
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
    mirror = make_mirror(Release(RELEASE, arch), import_installer(server, arch))
    with served(mirror) as url:
        publish(server, machine, url)
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
        assert found or running.is_running(), end_of(running)
        return bool(found)

    wait_for(heard, VERDICT_S)
    return found[0]


def lamp_packages(server: BootServer) -> list[str]:
    """What the profile installs unless a person changes it."""
    profile = tomllib.loads((server.home / f"site/profiles/debian-{RELEASE}-amd64.toml").read_text())
    return str(profile["settings"]["packages"]).split()


def test_an_unattended_installation_ends_with_a_system_that_the_agent_starts_from_its_disk(
    built: Callable[[str], Built], server: BootServer, folder: Path, record_property: Callable[[str, object], None]
) -> None:
    port = free_port()
    server.start()
    guest, card = board(built("amd64"), server, folder, port)
    disk = make_disk(folder / "disk.img", Bus.SATA, "DISK1", DISK_MIB)
    guest = replace(guest, disks=(*guest.disks, disk))
    before = DiskState.of([card])
    mirror = make_mirror(Release(RELEASE, "amd64"), import_installer(server, "amd64"), lamp_packages(server))
    assert mirror.is_whole
    approved = approve_once(server)
    with served(mirror) as url:
        publish(server, guest.machine, url)
        installed = power_on(guest, lambda running: approved() and not running.is_running(), record_property)
    stages = [event.data["stage"] for event in installer_events(server) if event.name == "installing"]
    assert (stages[-1], server.nodes()[0]["install"]["state"]) == ("marked", "done"), end_of(installed)
    assert set(STAGES) <= set(stages)
    # Neither the archive nor an installer any more.
    system = power_on(guest, lambda running: is_up(server, running) and page_of(port) in REFUSED, record_property)
    assert len(JUMP.findall(system.console())) == 1
    assert before.changed() == []


def power_on(
    guest: Guest, until: Callable[[RunningGuest], bool], record_property: Callable[[str, object], None]
) -> RunningGuest:
    """Switch it on, until something happened; again for each kernel that QEMU lost."""
    for _ in range(MOST_LOST):
        with start_guest(guest) as running:
            wait_for(lambda: until(running) or is_double_fault_after_jump(running.console()), INSTALL_S)
        if not is_double_fault_after_jump(running.console()):
            return running
        record_property(LOST_KERNEL, "a kernel of an installation")
    raise AssertionError(f"QEMU lost {MOST_LOST} kernels in a row")


def end_of(running: RunningGuest) -> str:
    """Why the machine ended, as far as QEMU tells, and the end of its console."""
    errors = (running.guest.folder / "qemu-errors.txt").read_text(errors="replace")
    return f"{running.qmp.events()[-3:]}\n{errors}\n{running.console()[-4000:]}"


def page_of(port: int) -> bytes:
    """What the page that was left there says; nothing while the web server is not up yet."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return fetch(port, "/status.php")
    return b""


def is_up(server: BootServer, running: RunningGuest) -> bool:
    """Whether the system on the disk has said so; an assertion fails where the machine ended before."""
    assert running.is_running(), end_of(running)
    return any((event.source, event.name) == ("system", "payload-up") for event in server.events())
