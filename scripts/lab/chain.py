"""The whole chain, put together from real parts: loader and workload, boot server, card image, simulated board.

The demo, the bench and the tests all boot through here, so what a person sees is what is tested.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from initramfs.build import BuildOptions, Loader, Workload, build_loader, build_workload
from scripts.lab.boot_server import BootServer
from scripts.lab.device_tree import write_device_tree
from scripts.lab.guest import HOST_ADDRESS, CardBoot, DeadNet, DirectBoot, Guest, Identity, Nic, UserNet
from scripts.lab.machines import MACHINES, Machine
from scripts.lab.site_folder import site_files
from scripts.lab.verdict import Failed, Passed, Verdict
from scripts.lab.vm import ConsoleLine, RunningGuest, start_guest
from scripts.sdcard.boards import BOARDS
from scripts.sdcard.build import CardOptions, LoaderFiles, build_card


class BootFailedError(Exception):
    """The board did not reach its payload; the text says where it stopped and ends with the console's last lines."""


@dataclass(frozen=True)
class Built:
    """Everything of one architecture that takes long to make. Both parts come from the cache when nothing changed."""

    machine: Machine
    loader: Loader
    workload: Workload


@dataclass(frozen=True)
class Wiring:
    """What a board is plugged into. `servers` are named on its card (or command line); without any, DHCP names `bootfile`."""

    servers: tuple[str, ...] = ()
    forward_port: int | None = None
    bootfile: str = ""
    dead_nic_first: bool = False


def build(arch: str) -> Built:
    """Raises BuildError."""
    options = BuildOptions()
    return Built(MACHINES[arch], build_loader(arch, options), build_workload(arch, options))


def server_url(server: BootServer) -> str:
    """The boot server as simulated boards see it."""
    return f"http://{HOST_ADDRESS}:{server.port}"


def publish(server: BootServer, built: Built, device_tree: Path | None = None) -> None:
    """Give the server the workload and the rule that hands it to every board of this architecture. Raises LabError.

    The workload runs with `device_tree`, or with the tree that the loader runs with.
    """
    arch = built.machine.arch
    kernel = server.add_artifact(built.workload.kernel, f"vmlinuz-{arch}")
    initrd = server.add_artifact(built.workload.initrd, f"ram-page-{arch}", built.workload.initrd_unpacked_bytes)
    tree = server.add_artifact(device_tree, device_tree.name) if device_tree else None
    server.apply(site_files(built.machine, kernel, initrd, tree))


def make_guest(built: Built, name: str, folder: Path, wiring: Wiring, arguments: tuple[str, ...] = ()) -> Guest:
    """The simulated board called `name`: its card or command line, its device tree, its cables. `arguments` are the loader's.

    Raises CardError or CommandError.
    """
    identity = Identity.named(f"{built.machine.arch} {name}")
    dead = (Nic(Identity.named(f"dead cable of {name}").mac, DeadNet()),) if wiring.dead_nic_first else ()
    live = Nic(identity.mac, UserNet(wiring.forward_port, wiring.bootfile))
    boot = _card_boot if built.machine.board else _direct_boot
    return Guest(
        machine=built.machine,
        identity=identity,
        boot=boot(built, identity, folder, wiring, arguments),
        nics=(*dead, live),
        folder=folder,
    )


def _card_boot(built: Built, identity: Identity, folder: Path, wiring: Wiring, arguments: tuple[str, ...]) -> CardBoot:
    image, tree = folder / "card.img", folder / "board.dtb"
    loader = LoaderFiles(built.loader.kernel, built.loader.initramfs, built.loader.dtbs)
    options = CardOptions({"server": list(wiring.servers)} if wiring.servers else {}, arguments)
    build_card(BOARDS[built.machine.board], loader, options, image)
    write_device_tree(built.machine, identity, tree)
    return CardBoot(image, tree)


def _direct_boot(built: Built, identity: Identity, folder: Path, wiring: Wiring, arguments: tuple[str, ...]) -> DirectBoot:
    server = (f"bootpilot.server={','.join(wiring.servers)}",) if wiring.servers else ()
    command_line = " ".join([*built.machine.loader_arguments, *server, *arguments])
    return DirectBoot(built.loader.kernel, built.loader.initramfs, command_line)


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
