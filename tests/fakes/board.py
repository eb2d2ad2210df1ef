"""A board for the agent to run on, in process: its files, its network and its programs. All of the agent's own code is real.

The program runner records; where a real board would end (kexec -e, reboot, poweroff) it raises `Ended`, which nothing catches.
"""

import io
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bootpilot_agent.addresses import GivenMac
from bootpilot_agent.boot_note import BOOT_JSON
from bootpilot_agent.card import Card
from bootpilot_agent.console import Console
from bootpilot_agent.devices import Devices
from bootpilot_agent.drivers import Driverless
from bootpilot_agent.edges import BoardEdges
from bootpilot_agent.evidence import Evidence
from bootpilot_agent.fields import Json
from bootpilot_agent.main import keep_booting
from bootpilot_agent.network import Candidate
from bootpilot_agent.plan import Lease
from bootpilot_agent.report import read_build
from bootpilot_agent.run import Completed
from bootpilot_agent.settings import Settings

# What a test waits for has come by then, or never will.
PATIENCE_S = 7200.0
NOTHING_BOOTED = f"nothing booted in {PATIENCE_S:.0f} s of the board's time"
MEMINFO = "MemTotal:        1012345 kB\nMemFree:          800000 kB\nMemAvailable:     {available} kB\n"


class Ended(BaseException):
    """The board left the agent; `how` is the command."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


@dataclass
class Loaded:
    """What kexec was given."""

    argv: list[str]
    kernel: bytes
    initrd: bytes
    dtb: bytes | None

    @property
    def command_line(self) -> str:
        return next(word.partition("=")[2] for word in self.argv if word.startswith("--command-line="))

    @property
    def note(self) -> dict[str, Json]:
        """boot.json, found in the last archive by its name and read as the payload would."""
        note: dict[str, Json] = json.loads(self.file(BOOT_JSON))
        return note

    def file(self, name: str) -> bytes:
        """A file of the last archive: newc has 110 bytes of header before the name, and pads name and content to 4 bytes."""
        header = self.initrd.rindex(name.encode() + b"\0") - 110
        size = int(self.initrd[header + 54 : header + 62], 16)
        length = 110 + len(name) + 1
        content = header + length + -length % 4
        return self.initrd[content : content + size]


@dataclass
class RecordingRun:
    """The subprocess door of a board whose kexec answers `load_error` (or loads), whose jump works (or comes back), and whose
    first `failing_ends` reboots or power-offs do nothing."""

    load_error: str = ""
    jump_works: bool = True
    failing_ends: int = 0
    on_unload: Callable[[], object] = field(default=lambda: None)
    commands: list[list[str]] = field(default_factory=list)
    loaded: Loaded | None = None
    programs: dict[str, Callable[[list[str]], Completed]] = field(default_factory=dict)

    def __call__(self, argv: Sequence[str], *, timeout_s: float, check: bool = True) -> Completed:
        self.commands.append(list(argv))
        if argv[0] in self.programs:
            return self.programs[argv[0]](list(argv))
        if list(argv[:2]) == ["kexec", "-l"]:
            return self._load(list(argv))
        if list(argv[:2]) == ["kexec", "-u"]:
            self.on_unload()
        if argv[0] in ("reboot", "poweroff"):
            self._end(" ".join(argv))
        if list(argv) == ["kexec", "-e"] and self.jump_works:
            raise Ended(" ".join(argv))
        return Completed(1 if list(argv) == ["kexec", "-e"] else 0, "", "")

    def _end(self, how: str) -> None:
        if self.failing_ends == 0:
            raise Ended(how)
        self.failing_ends -= 1

    def _load(self, argv: list[str]) -> Completed:
        if self.load_error:
            return Completed(255, "", self.load_error)
        paths = {
            word.partition("=")[0]: Path(word.partition("=")[2]) for word in argv if word.startswith(("--initrd=", "--dtb="))
        }
        dtb = paths["--dtb"].read_bytes() if "--dtb" in paths else None
        self.loaded = Loaded(argv, Path(argv[-1]).read_bytes(), paths["--initrd"].read_bytes(), dtb)
        return Completed(0, "", "")


@dataclass
class LoopbackNetwork:
    """Candidates on loopback. `appear` gives the candidates after so many polls, as DHCP would, later."""

    now: tuple[Candidate, ...]
    clock: "FakeClock"
    later: dict[int, tuple[Candidate, ...]] = field(default_factory=dict)
    polls: int = 0
    used: list[Candidate] = field(default_factory=list)
    is_down: bool = False
    macs: tuple[GivenMac, ...] = ()
    settings: Settings | None = None
    on_poll: Callable[[], object] = field(default=lambda: None)
    on_use: Callable[[], object] = field(default=lambda: None)

    def start(self, settings: Settings, evidence: Sequence[Evidence]) -> None:
        self.settings = settings
        self.is_down = False

    def poll(self, timeout_s: float) -> bool:
        self.polls += 1
        self.clock.now_s += timeout_s
        if self.clock.now_s > PATIENCE_S:
            raise Ended(NOTHING_BOOTED)
        self.on_poll()
        self.now = self.later.get(self.polls, self.now)
        return self.polls in self.later

    def candidates(self) -> tuple[Candidate, ...]:
        return self.now

    def use(self, candidate: Candidate) -> None:
        self.used.append(candidate)
        self.on_use()

    def describe(self) -> list[str]:
        return ["lo: loopback of a test"]

    def given_macs(self) -> tuple[GivenMac, ...]:
        return self.macs

    def down(self) -> None:
        self.is_down = True


@dataclass
class FakeClock:
    """Time that passes only where the agent waits for the network."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


class NoDrivers:
    """A board on which everything has its driver, but for one network adapter."""

    def start(self) -> int:
        return 0

    def poll(self, timeout_s: float = 0.0) -> int:
        return 0

    def driverless(self) -> list[Driverless]:
        return [Driverless("usb:v0BDAp8152", "/sys/devices/usb1/1-1", "network"), Driverless("platform:x", "/sys/devices/x")]


@dataclass
class RecordingWatchdog:
    """What happened to the watchdog. `opened` has each timeout, and whether one that cannot be stopped may be opened."""

    calls: list[str] = field(default_factory=list)
    opened: list[tuple[int, bool]] = field(default_factory=list)

    def open(self, timeout_s: int, *, keep_allowed: bool = False) -> "RecordingWatchdog":
        self.opened.append((timeout_s, keep_allowed))
        self.calls.append("open")
        return self

    def beat(self) -> None:
        if self.calls[-1:] != ["beat"]:
            self.calls.append("beat")

    def stop(self) -> None:
        self.calls.append("stop")

    def keep(self) -> None:
        self.calls.append("keep")

    def starve(self) -> None:
        self.calls.append("starve")

    def describe(self) -> str:
        return "recording"


@dataclass
class Ending:
    """How it ended: `how` the board left the agent, or `exit_code` where a shell was wanted."""

    how: str = ""
    exit_code: int | None = None


@dataclass
class FakeBoard:
    """One board, its files under `folder`. `shell`: the agent comes back after the first failure instead of trying again."""

    folder: Path
    arch: str = "amd64"
    servers: tuple[str, ...] = ()
    dhcp_servers: tuple[str, ...] = ()
    card_text: bytes | None = None
    shell: bool = True
    tree: Path | None = None
    serial: str = ""
    compatible: str = "linux,dummy-virt"  # on ARM without a tree: QEMU's virt machine
    available_kib: int = 700000
    sync: Callable[[], None] = field(default=lambda: None)
    run: RecordingRun = field(default_factory=RecordingRun)
    watchdog: RecordingWatchdog = field(default_factory=RecordingWatchdog)
    clock: FakeClock = field(default_factory=FakeClock)
    network: LoopbackNetwork = field(init=False)
    console_text: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        self.network = LoopbackNetwork((candidate(servers=self.dhcp_servers),), self.clock)
        self.root = self.folder / "root"
        if self.tree is not None:
            shutil.copytree(self.tree, self.root, symlinks=True)
        words = [
            "console=ttyS0",
            *(f"bootpilot.server={url}" for url in self.servers),
            *(["bootpilot.shell"] if self.shell else []),
        ]
        self._write(
            "proc/cmdline",
            " ".join([*words, *(["bootpilot.card=PARTUUID=0000abcd-01"] if self.card_text is not None else [])]) + "\n",
        )
        if self.serial:
            self._write("sys/firmware/devicetree/base/serial-number", self.serial + "\0")
        if self.arch != "amd64" and self.tree is None:
            self._write("sys/firmware/devicetree/base/model", "linux,dummy-virt\0")
            self._write("sys/firmware/devicetree/base/compatible", f"{self.compatible}\0")
        self._write("sys/kernel/kexec_loaded", "0\n")
        self._write("proc/meminfo", MEMINFO.format(available=self.available_kib))
        build = {"arch": self.arch, "agent_version": "0.1.0", "build_id": "0123456789abcdef", "built_unix_s": 1_700_000_000}
        self._write("etc/bootpilot/build.json", json.dumps(build))

    def boot(self) -> Ending:
        """The whole agent, until the board leaves it or it wants to open a shell."""
        try:
            return Ending(exit_code=keep_booting(self.edges()))
        except Ended as ended:
            return Ending(how=ended.how)

    def edges(self) -> BoardEdges:
        devices = Devices(
            root=self.root,
            folder=self.folder / "payload",
            console=Console(self.console_text),
            drivers=NoDrivers(),
            network=self.network,
            find_card=self._find_card,
            open_watchdog=self.watchdog.open,
            run=self.run,
            sync=self.sync,
            chance=lambda: 0.0,
            clock=self.clock,
        )
        return BoardEdges(devices, read_build(self.root))

    @property
    def console(self) -> str:
        return self.console_text.getvalue()

    def _find_card(self, partuuid: str, *, wait_s: float, poll: Callable[[float], object]) -> Card | None:
        if self.card_text is None:
            return None
        return Card(partuuid, "/dev/mmcblk0p1", "/sys/devices/mmc", "27504853443847", self.card_text)

    def _write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text)


def candidate(interface: str = "lo", address: str = "127.0.0.1/8", servers: tuple[str, ...] = ()) -> Candidate:
    """A lease on loopback."""
    return Candidate(Lease(interface, "dhcp", address, "", (), "00534e31"), "02:00:00:00:00:01", servers)
