"""The whole chain, put together from real parts: loader and workload, boot server, card image, simulated board.

The demo, the bench and the tests all boot through here, so what a person sees is what is tested.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from initramfs.build import BuildOptions, Loader, RamSystem, build_loader, build_workload
from scripts.lab.boot_server import BootServer
from scripts.lab.guest import HOST_ADDRESS, CardBoot, DeadNet, DirectBoot, Guest, Identity, Nic, UserNet
from scripts.lab.machine import Machine, Named, Start
from scripts.lab.machines import MACHINES
from scripts.lab.qemu_versions import qemu_command
from scripts.lab.site_folder import site_files
from scripts.lab.stages import ConsoleLine
from scripts.lab.starting import card_boot
from scripts.lab.verdict import JUMP, USER_SPACE, Failed, Passed, Verdict
from scripts.lab.vm import RunningGuest, start_guest
from scripts.sdcard.build import CardOptions
from scripts.sdcard.texts import SettingValue

# An empty disk: only its serial number counts.
DISK_BYTES = 64 << 20


class BootFailedError(Exception):
    """The board did not reach its payload; the text says where it stopped and ends with the console's last lines."""


@dataclass(frozen=True)
class Built:
    """Everything of one architecture that takes long to make. Both parts come from the cache when nothing changed."""

    machine: Machine
    loader: Loader
    workload: RamSystem


@dataclass(frozen=True)
class Wiring:
    """What a board is plugged into. `servers` are named on its card (or command line); without any, DHCP names `bootfile`.

    `ca` is on the card.
    """

    servers: tuple[str, ...] = ()
    forward_port: int | None = None
    bootfile: str = ""
    dead_nic_first: bool = False
    ca: Path | None = None


def build(arch: str) -> Built:
    """For the machine of an architecture on which most is tested. Raises BuildError."""
    return build_for(MACHINES[arch])


def build_for(machine: Machine, loader_kernel: str = "", payload_kernel: str = "") -> Built:
    """Both kernels may be others than the architecture's own, as BuildOptions names them. Raises BuildError."""
    loader = build_loader(machine.arch, BuildOptions(kernel=loader_kernel))
    return Built(machine, loader, build_workload(machine.arch, BuildOptions(kernel=payload_kernel)))


def server_url(server: BootServer) -> str:
    """The boot server as simulated boards see it."""
    return f"{server.scheme}://{HOST_ADDRESS}:{server.port}"


def publish(
    server: BootServer, built: Built, device_tree: Path | None = None, policy: str = "file", *, record: bool = False
) -> None:
    """Give the server the workload and the rule that hands it to every board of this architecture. Raises LabError.

    The workload runs with `device_tree` as the policy has it, or with the tree that the loader runs with. `record`: the
    recording of each boot is wanted.
    """
    arch = built.machine.arch
    kernel = server.add_artifact(built.workload.kernel, f"vmlinuz-{arch}")
    initrd = server.add_artifact(built.workload.initrd, f"ram-page-{arch}", built.workload.initrd_unpacked_bytes)
    tree = server.add_artifact(device_tree, device_tree.name) if device_tree else None
    server.apply(site_files(built.machine, kernel, initrd, tree, policy, record=record))


def make_guest(
    built: Built,
    name: str,
    folder: Path,
    wiring: Wiring,
    arguments: tuple[str, ...] = (),
    extra_initrds: tuple[Path, ...] = (),
) -> Guest:
    """The simulated board called `name`: its card or command line, its device tree, its cables. `arguments` are the loader's.

    Raises BuildError, CardError, CommandError or LabError.
    """
    machine = built.machine
    identity = Identity.named(f"{machine.board or machine.arch} {name}")
    dead = (Nic(Identity.named(f"dead cable of {name}").mac, DeadNet()),) if wiring.dead_nic_first else ()
    live = Nic(identity.mac, UserNet(wiring.forward_port, wiring.bootfile))
    words = (*machine.loader_arguments, *arguments)
    if machine.start is Start.KERNEL:
        boot: CardBoot | DirectBoot = _direct_boot(built, wiring, words)
    else:
        settings: dict[str, SettingValue] = {"server": list(wiring.servers)} if wiring.servers else {}
        settings |= {"ca": wiring.ca.read_text()} if wiring.ca else {}
        boot = card_boot(machine, built.loader, identity, folder, CardOptions(settings, words, extra_initrds=extra_initrds))
    qemu = qemu_command(machine.qemu, machine.least_qemu) if machine.least_qemu else (machine.qemu,)
    guest = Guest(machine=machine, identity=identity, boot=boot, nics=(*dead, live), folder=folder, qemu=qemu)
    if machine.named is Named.DISK:
        with guest.disk_path.open("wb") as disk:
            disk.truncate(DISK_BYTES)
    return guest


def _direct_boot(built: Built, wiring: Wiring, words: tuple[str, ...]) -> DirectBoot:
    server = (f"bootpilot.server={','.join(wiring.servers)}",) if wiring.servers else ()
    return DirectBoot(built.loader.kernel, built.loader.initramfs, " ".join([*words, *server]))


@contextmanager
def booted(
    guest: Guest,
    deadline_s: float,
    on_lost: Callable[[str], None],
    on_line: Callable[[ConsoleLine], None] | None = None,
    meanwhile: Callable[[RunningGuest], None] | None = None,
) -> Iterator[tuple[RunningGuest, Verdict]]:
    """The board with its payload up, and what the payload says of itself.

    One kernel lost to QEMU is told to `on_lost`, and the board is booted once more. `meanwhile` is called once in each boot,
    before the payload is waited for. Raises BootFailedError.
    """
    for attempt in (1, 2):
        with start_guest(guest, on_line) as running:
            if meanwhile:
                meanwhile(running)
            outcome = running.outcome(deadline_s)
            if isinstance(outcome, Passed):
                yield running, outcome.verdict
                return
        if isinstance(outcome, Failed) or attempt == 2:
            raise BootFailedError(outcome.why)
        on_lost(outcome.why)


@contextmanager
def handed_over(guest: Guest, on_line: Callable[[ConsoleLine], None] | None = None) -> Iterator[RunningGuest]:
    """The board with its payload's first program running, which has no way to give a verdict (VerdictBy.NONE).

    Raises LabError with the console's end.
    """
    with start_guest(guest, on_line) as running:
        jump = running.wait_for_line(JUMP.pattern, guest.machine.deadline_s)
        running.wait_for_line(USER_SPACE, guest.machine.deadline_s, after=running.lines.index(jump) + 1)
        yield running
