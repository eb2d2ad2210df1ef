"""Replays a boot in this process: the real agent on the recorded board's files, in virtual time, without network or rights.

Real are the boot's story, its steps, the protocol, downloads and their retries, settings, identity, card and disks. Played are
HTTP's sockets, DHCP, programs and the kernel: as they were then.
"""

import errno
import inspect
import io
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from bootpilot_agent import __version__, card, edges, hardware, kexec, memory, transport
from bootpilot_agent.card import Card
from bootpilot_agent.console import Console
from bootpilot_agent.devices import Devices
from bootpilot_agent.drivers import Driverless
from bootpilot_agent.fields import FieldError, Fields
from bootpilot_agent.inventory import KexecCapability
from bootpilot_agent.kexec_call import WAYS
from bootpilot_agent.kexec_capability import read_kexec_capability
from bootpilot_agent.kexec_syscalls import SYSTEM
from bootpilot_agent.main import keep_booting
from bootpilot_agent.report import Build
from bootpilot_agent.taps import listen, stop_listening
from bootpilot_agent.wall_clock import WallClock
from scripts.replaying.board_tree import BoardTree
from scripts.replaying.errors import ReplayError
from scripts.replaying.observer import ObservedEdges, Observer
from scripts.replaying.overlay import overlay_of
from scripts.replaying.performed import Performed
from scripts.replaying.played_http import PlayedAdapter
from scripts.replaying.played_network import PlayedNetwork
from scripts.replaying.played_programs import JUMPS, EndedError, PlayedKexec, PlayedPrograms
from scripts.replaying.script import Script
from scripts.replaying.shims import agent_in, exchanged
from scripts.replaying.simulation import Simulation
from scripts.replaying.stand_ins import StandIn
from scripts.replaying.tape import Ending, Tape
from scripts.scenarios.scenario import Scenario

# Of the board's time: waits are drawn out by chance, up to a quarter, and here always by half of that.
LONGER, MORE_S = 1.5, 3600.0
CHANCE = 0.5
# Steps that start what lies on the board's own disks.
OWN_DISK = ("take_system", "take_own_system")
# What the agent is given out of the recorded report, so that it says nothing to find it there again.
FED_CALLS = "kexec.load and kexec.file_load are as the recorded kernel had them"
FED_LEASE = "is the recorded one: no DHCP client runs here"
# As kexec_call.py says it.
REFUSED = re.compile(r"\((E[A-Z0-9]+)\)$")
ROOM = re.compile(r"to store the payload, the root file system takes ([0-9]+\.[0-9]) MiB")


def play(tape: Tape, stand_ins: list[StandIn], fault: Scenario | None = None) -> Performed:
    """One replay. Raises ReplayError where this boot needs what is not in a recording."""
    refuse(tape)
    script = Script(tape, stand_ins, overlay_of(fault))
    simulation = Simulation(max(tape.ended_ms, 0) / 1000 * LONGER + MORE_S, lambda: EndedError("nothing more came of it"))
    with tempfile.TemporaryDirectory(prefix="bootpilot-replay-") as name, simulation.running():
        stage = Stage(tape, script, simulation, Path(name))
        stage.tree.write()
        with stage.set():
            how = stage.boot()
    return Performed(
        met=tuple(script.met),
        left=tuple(script.left),
        events=tuple(stage.observer.events),
        kexecs=tuple(stage.observer.kexecs),
        how=how,
        jumped=how in JUMPS,
        console=stage.console_text.getvalue(),
        steps=tuple(stage.observer.steps),
        notes=(*notes_on(tape), *(f"the recorded board did not run {one}" for one in stage.programs.unknown)),
    )


def refuse(tape: Tape) -> None:
    """Raises ReplayError for a boot that this runner cannot play."""
    for step in tape.steps:
        if step.name in OWN_DISK and tape.until != step.name:
            raise ReplayError(
                "this boot starts the system on the board's own disk, and what is on a disk is not in a recording",
                f"--until {step.name} replays it as far as that",
            )


def kexec_root() -> object:
    """The default argument of kexec.load by which the agent reads its own board."""
    return inspect.signature(kexec.load).parameters["root"].default


def room_of(tape: Tape) -> int | None:
    """What the board's root file system took, in bytes: told only where it was too little, else as if it had no limit."""
    found = [ROOM.search(step.error) for step in tape.steps]
    return next((int(float(match[1]) * memory.MEBIBYTE) for match in found if match), None)


def refusal_of(tape: Tape) -> int:
    """The error number that the kernel gave where the agent asked it by itself, 0 if it took the payload."""
    found = [REFUSED.search(step.error) for step in tape.steps if step.name == "load_kexec" and WAYS[tape.arch].by_agent]
    return next((getattr(errno, match[1], 0) for match in found if match), 0)


def notes_on(tape: Tape) -> tuple[str, ...]:
    """What the reader of the verdict should know."""
    fed = (FED_CALLS, f"lease{'.client_id' if tape.dumps else ''} {FED_LEASE}") if tape.report else ()
    if tape.header.agent_version == __version__:
        return fed
    return (*fed, f"recorded by agent {tape.header.agent_version}, replayed by {__version__}")


@dataclass
class Stage:
    """Everything around the agent for one replay."""

    tape: Tape
    script: Script
    simulation: Simulation
    folder: Path
    console_text: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        self.tree = BoardTree(self.folder / "root", self.tape)
        self.observer = Observer(self.tape, self.script)
        self.programs = PlayedPrograms(self.tape, str(self.tree.root), self.observer.loads)
        self.network = PlayedNetwork(self.tape, self.simulation)

    @contextmanager
    def set(self) -> Iterator[None]:
        """From here on the agent lives in the recorded boot's world; afterwards nothing is left of it."""
        # The running tree and the map of memory that an agent without kexec-tools reads are the recorded board's.
        played = {id(SYSTEM): PlayedKexec(refusal_of(self.tape)), id(kexec_root()): self.tree.root}
        adapter = partial(PlayedAdapter, script=self.script, simulation=self.simulation, on_asked=self._end_off_the_tape)
        with ExitStack() as stack:
            stack.enter_context(agent_in(self.simulation, float(self.tape.real_s or 0), played))
            for owner, name, value in (
                (transport, "BoundAdapter", adapter),
                (card, "run", self.programs),
                (memory, "_room_bytes", lambda folder: room_of(self.tape)),
                (edges, "read_kexec_capability", self._capability),
                (hardware, "read_kexec_capability", self._capability),
            ):
                stack.enter_context(exchanged(owner, name, value))
            listen(self.observer)
            stack.callback(stop_listening)
            yield

    def boot(self) -> str:
        """How it ended."""
        header = self.tape.header
        build = Build(header.arch, header.agent_version, header.build_id, 0)
        whole = edges.BoardEdges(self._devices(), build)
        observed: edges.BoardEdges = ObservedEdges(whole, self.observer, self._follow)  # type: ignore[assignment]
        try:
            return f"exit code {keep_booting(observed)}"
        except EndedError as ended:
            return ended.how

    def _devices(self) -> Devices:
        console = Console(self.console_text)
        return Devices(
            root=self.tree.root,
            folder=self.folder / "payload",
            console=console,
            drivers=NoDrivers(self.simulation),
            network=self.network,
            find_card=self._find_card,
            open_watchdog=lambda timeout_s, *, keep_allowed=False: NoWatchdog(),
            run=self.programs,
            sync=lambda: None,
            chance=lambda: CHANCE,
            clock=self.simulation.monotonic,
            wall_clock=WallClock(0, console.say, write=lambda unix_s: None),
        )

    def _find_card(self, partuuid: str, *, wait_s: float, poll: Callable[[float], object]) -> Card | None:
        return card.find_card(partuuid, self.tree.root, wait_s=wait_s, poll=poll)

    def _capability(self, root: Path) -> KexecCapability:
        """Which calls the recorded kernel had no file tells; the rest is read of its files."""
        found, told = read_kexec_capability(root), self.tape.report.get("kexec")
        with suppress(FieldError):
            fields = Fields(told if isinstance(told, dict) else {}, "kexec")
            return replace(found, load=fields.flag("load"), file_load=fields.flag("file_load"))
        return found

    def _follow(self, name: str, before: int) -> None:
        """The board as it was when this step had read it."""
        same = [step for step in self.tape.steps if step.name == name]
        if before < len(same):
            step = same[before]
            self.tree.follow(step.over_ms if step.over_ms is not None else self.tape.ended_ms)

    def _end_off_the_tape(self) -> None:
        if self.script.has_left_the_tape() and self.tape.ending is Ending.OPEN:
            raise EndedError("the recording ends here")


@dataclass(frozen=True)
class NoDrivers:
    """devices.DriverDevice of a board whose devices all have their files already."""

    simulation: Simulation

    def start(self) -> int:
        return 0

    def poll(self, timeout_s: float = 0.0) -> int:
        self.simulation.sleep(timeout_s)
        return 0

    def driverless(self) -> list[Driverless]:
        return []


class NoWatchdog:
    """devices.WatchdogDevice that never bites."""

    def beat(self) -> None:
        """Heard."""

    def stop(self) -> None:
        """Stopped."""

    def keep(self) -> None:
        """Kept."""

    def starve(self) -> None:
        """Starved."""

    def describe(self) -> str:
        return "none in a replay"
