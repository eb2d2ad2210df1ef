"""What every case of an installation needs: a PC with a card and disks, a server, the relay between them, and power for it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from bootpilot_agent.mark import MARK_PARTITION_TYPE, Mark
from bootpilot_agent.partition_table import read_partitions
from bootpilot_install.stages import Stage
from scripts.lab.boot_server import BootServer
from scripts.lab.chain import Wiring, make_guest
from scripts.lab.disk_images import DiskState, make_disk
from scripts.lab.disks import Bus, Disk
from scripts.lab.errors import LabError
from scripts.lab.guest import HOST_ADDRESS, CardBoot, Guest
from scripts.lab.install_site import InstallWish
from scripts.lab.installing import InstallKit, announce, store_kit, want_install
from scripts.lab.machine import Named, Start
from scripts.lab.relay import Call, Fate, Relay, carry_all, relay
from scripts.lab.verdict import Verdict, is_double_fault_after_jump, read_verdict
from scripts.lab.vm import RunningGuest, start_guest
from tests.qemu.small_card import CARD_ARGUMENT, write_card

# The installer starts a third kernel: loader, installer, system.
DEADLINE_S = 900.0
DISK_MIB = 512
# Of kernels that QEMU's emulation loses (verdict.py): in one power-on, more than this is no accident.
MOST_LOST = 3


@dataclass
class InstallBench:
    """One server with everything to install, and the boards that it is for. `on_lost` counts kernels lost to QEMU."""

    kit: InstallKit
    folder: Path
    server: BootServer
    relay: Relay
    on_lost: Callable[[str], None]
    deadline_s: float = DEADLINE_S
    boards: list["Board"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server.start()
        self._stored = store_kit(self.server, self.kit)

    def want(self, wish: InstallWish) -> None:
        """From now on, approved boards are to be installed like this."""
        want_install(self.server, self.kit, self._stored, wish)

    def board(self, name: str, *disks: Disk, port: int | None = None) -> "Board":
        """A machine that the server's list knows, with a card that names the relay as its server. Its page is at `port`."""
        folder = self.folder / f"b{len(self.boards)}"
        folder.mkdir()
        url = f"http://{HOST_ADDRESS}:{self.relay.port}"
        if self.kit.built.machine.start is Start.KERNEL:
            card = write_card(folder / "card.img", f'server = "{url}"\n')
            guest = make_guest(self.kit.built, name, folder, Wiring(forward_port=port), (CARD_ARGUMENT,))
            disks = (Disk(card, Bus.USB, "CARD"), *disks)
        else:
            guest = make_guest(self.kit.built, name, folder, Wiring((url,), forward_port=port))
            assert isinstance(guest.boot, CardBoot)
            card = guest.boot.image
        if guest.machine.named is not Named.DISK:  # nothing of the board itself has a number that could stand on a list
            announce(self.server, guest)
        self.boards.append(Board(self, replace(guest, disks=disks), card))
        return self.boards[-1]

    def disk(self, serial: str, bus: Bus = Bus.SATA, size_mib: int = DISK_MIB, *, volatile: bool = False) -> Disk:
        """A new, empty disk."""
        return replace(make_disk(self.folder / f"{serial}.img", bus, serial, size_mib), volatile=volatile)

    def damage_image(self) -> None:
        """Flip a bit of the image on the server's disk, as a failing disk does; once more flips it back."""
        path = self.server.home / "artifacts" / "sha256" / self.kit.rootfs.sha256
        mode = path.stat().st_mode
        path.chmod(0o644)
        with path.open("r+b") as stream:
            stream.seek(path.stat().st_size // 2)
            byte = stream.read(1)
            stream.seek(-1, 1)
            stream.write(bytes([byte[0] ^ 1]))
        path.chmod(mode)


@contextmanager
def install_bench(kit: InstallKit, folder: Path, server: BootServer, on_lost: Callable[[str], None]) -> Iterator[InstallBench]:
    with relay(lambda: server.port) as between:
        yield InstallBench(kit, folder, server, between, on_lost)


@dataclass
class Board:
    """One machine with its card and disks, which both outlive its power."""

    bench: InstallBench
    guest: Guest
    card: Path

    def run(self, until: Callable[["Run"], bool], what: str, judge: Callable[["Run", Call], Fate] | None = None) -> "Run":
        """Switch it on, until something happened; a kernel that QEMU lost is the board's power cut, and it is switched on
        again. `judge` may decide over what it says. Raises LabError.
        """
        deadline_s = self.bench.deadline_s
        for _ in range(MOST_LOST):
            with start_guest(self.guest) as running:
                run = Run(self, running, len(self.bench.relay.calls))
                self.bench.relay.judge = partial(judge, run) if judge else carry_all
                try:
                    running.wait_until(partial(until, run), deadline_s, what)
                except LabError:
                    if not is_double_fault_after_jump(running.console()):
                        raise
                    self.bench.on_lost(what)
                    continue
                finally:
                    self.bench.relay.judge = carry_all
                return run
        raise LabError(f"{what}: QEMU lost {MOST_LOST} kernels in a row")

    def run_to_system(self, judge: Callable[["Run", Call], Fate] | None = None) -> "Run":
        """Until the system on its disk says that it is up."""
        return self.run(lambda run: run.verdict() is not None, "the system on the disk comes up", judge)

    def run_to_failure(self) -> "Run":
        """Until it has told the server that the installation failed, and the server has heard it."""
        return self.run(lambda run: run.said("failed"), "the installation fails")

    def run_cut_at(self, stage: Stage) -> "Run":
        """Until the word that this stage is over arrives: that moment the power goes."""

        def judge(run: "Run", call: Call) -> Fate:
            if stage in call.stages():
                run.running.cut_power()
            # It has a connection of its own, and may overtake the last stage's word.
            return Fate.LOSE if call.ends("done") else Fate.CARRY

        return self.run(lambda run: run.running.is_cut(), f"the power is cut at {stage}", judge)

    def node(self) -> dict[str, Any]:
        """What the server knows of it."""
        (node,) = [node for node in self.bench.server.nodes() if self.guest.identity.serial in str(node["evidence"])]
        return node

    def install(self) -> dict[str, Any]:
        """The install that the server has for it now."""
        install = self.node()["install"]
        assert isinstance(install, dict)
        return install

    def state(self, *but: Disk) -> DiskState:
        """The bits of its card and of every disk but these."""
        return DiskState.of({self.card, *(disk.path for disk in self.guest.disks if disk not in but)})


@dataclass
class Run:
    """One power-on. It can be asked when it is over, too."""

    board: Board
    running: RunningGuest
    begin: int

    def calls(self) -> list[Call]:
        """What the board said since it was switched on."""
        return self.board.bench.relay.calls[self.begin :]

    def said(self, word: str) -> bool:
        """Whether the server has taken a call that ends with this."""
        return any(call.ends(word) and call.is_answered for call in self.calls())

    def stages(self) -> list[str]:
        """The stages of an installation that it told of, in order, each once."""
        return list(dict.fromkeys(stage for call in self.calls() for stage in sorted(call.stages())))

    def failure(self) -> str:
        """The message of the last `failed` event."""
        failures = [event["data"] for call in self.calls() for event in call.events() if event["name"] == "failed"]
        return f"{failures[-1]['message']}" if failures else ""

    def kernels(self) -> int:
        """How many kernels it has jumped into."""
        return self.running.console().count("Starting new kernel")

    def boots(self) -> int:
        """How often its disk has been booted, as the small system says."""
        return int(json.loads(self.running.guest.verdict_path.read_text())["boots"])

    def verdict(self) -> Verdict | None:
        """What the system on the disk says, once it does."""
        try:
            return read_verdict(self.running.guest.verdict_path.read_text())
        except FileNotFoundError:
            return None


def mark_on(disk: Disk) -> Mark | None:
    """The valid mark on a disk's image; None where there is none, never was, or was destroyed. Raises FieldError."""
    with disk.path.open("rb") as image:

        def read_at(offset: int, size: int) -> bytes:
            image.seek(offset)
            return image.read(size)

        parts = read_partitions(read_at, disk.path.stat().st_size)
        marks = [Mark.from_bytes(read_at(part.start_bytes, 8192)) for part in parts if part.kind == MARK_PARTITION_TYPE]
    return next((mark for mark in marks if mark), None)
