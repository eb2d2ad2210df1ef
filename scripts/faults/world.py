"""Plays one scenario, inside the namespaces: network, server, board and what happens to them, until something comes of it."""

import contextlib
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.faults.board_root import BoardRoot
from scripts.faults.lan import FAR_AWAY, NAME, Switches, end_process
from scripts.faults.outcome import Came, Loader, Outcome, is_verified
from scripts.faults.power import PowerSwitch
from scripts.faults.servers import HTTP_PORT, HTTPS_PORT, Story, make_payload, make_server
from scripts.faults.stage import Stage
from scripts.lab.certificates import Certificates
from scripts.lab.scripted_boot_server import FakeBootServer
from scripts.scenarios.scenario import Change, Do, Expect, KernelKind, Scenario

TICK_S = 0.05
AGENT = b"/opt/bootpilot/bootpilot-agent"
LAST_WORDS = 25
# A real board's firmware and kernel take longer; here it only keeps a loader that fails at once from spinning.
REBOOT_S = 3.0
FILLER = "root/filler"


@dataclass(frozen=True)
class Place:
    """Where a run's files lie: `record` is what the board's stand-ins write into, `console` what it says.

    `recording` is the last one that the board sent, if it did.
    """

    folder: Path

    @property
    def record(self) -> Path:
        return self.folder / "record"

    @property
    def console(self) -> Path:
        return self.folder / "console"

    @property
    def recording(self) -> Path:
        return self.folder / "recording"


class World:
    """One run of one scenario by one loader. `power` was made before any thread."""

    def __init__(self, scenario: Scenario, loader: Loader, stage: Stage, folder: Path, power: PowerSwitch) -> None:
        self._scenario = scenario
        self._loader = loader
        self._stage = stage
        self._place = Place(folder)
        self._power = power
        self._payload = make_payload(scenario.server)
        self._story = Story()
        self._switches = Switches({lan.name: lan for lan in scenario.lans}, folder)
        self._adapters = {adapter.name: adapter for adapter in scenario.adapters}
        self._present = {adapter.name for adapter in scenario.adapters if adapter.present}
        self._pending: list[Change] = list(scenario.changes)
        self._server: FakeBootServer | None = None
        self._tls: ssl.SSLContext | None = None
        self._ca = ""
        self._board = 0
        self._power_ons = 0
        self._seen_endings = 0
        self._start_s = 0.0

    def play(self) -> Outcome:
        """Raises FaultsError where the harness itself fails."""
        self._place.record.mkdir()
        self._switches.set_up()
        if self._scenario.server.tls:
            self._make_certificates()
        for dhcp in self._scenario.dhcp:
            if dhcp.starts:
                self._switches.start_dhcp(dhcp, self.url)
        if self._scenario.server.starts:
            self.start_server()
        self._start_s = time.monotonic()
        self._power_on()
        came = self._watch()
        seconds = time.monotonic() - self._start_s
        self._power.off()
        if self._story.recordings:
            self._place.recording.write_bytes(self._story.recordings[-1])
        return Outcome(
            self._scenario.name, self._loader, came, seconds, self._is_verified(), self._power_ons, self._last_words()
        )

    @property
    def url(self) -> str:
        """The boot server's, as the board is told."""
        server = self._scenario.server
        host = FAR_AWAY if server.far else NAME if server.by_name else self._address
        return f"https://{host}:{HTTPS_PORT}" if server.tls else f"http://{host}:{HTTP_PORT}"

    @property
    def _address(self) -> str:
        return self._scenario.lans[0].address.partition("/")[0]

    def _watch(self) -> Came:
        """Until something has come of it, or the time is over."""
        while time.monotonic() - self._start_s < self._scenario.limit_s:
            self._make_changes()
            for ending in self._endings():
                if ending == "jump":
                    return Came.BOOTED if self._can_run() else Came.DEAD
                if ending == "poweroff":
                    return Came.NOTHING
                self._power.off()
                time.sleep(REBOOT_S)
                self._power_on()
            if self._scenario.expect is Expect.REFUSES and self._refused():
                return Came.REFUSED
            time.sleep(TICK_S)
        return Came.NOTHING

    def _power_on(self) -> None:
        self._power_ons += 1
        self._board = self._power.on(self._root(), str(self._place.console), self._environment())
        for name in self._present:
            self._switches.plug(self._adapters[name], self._board)
        self._power.go()

    def _endings(self) -> list[str]:
        path = self._place.record / "endings"
        found = path.read_text().split() if path.exists() else []
        new, self._seen_endings = found[self._seen_endings :], len(found)
        return new

    def _refused(self) -> bool:
        """The agent named the failure to the person in front of the board, or to the server, and will try again."""
        said = self._console()
        return b"FAILED at" in said and b"next try in" in said.rpartition(b"FAILED at")[2]

    def _can_run(self) -> bool:
        return self._is_verified() and self._scenario.server.kernel is KernelKind.GOOD

    def _is_verified(self) -> bool:
        if not (self._place.record / "load").exists():
            return True
        kernel, initrd = ((self._place.record / name).read_bytes() for name in ("kernel", "initrd"))
        payload = self._payload
        return is_verified(kernel, initrd, payload.kernel_sha256, payload.initrd_sha256, len(payload.initrd))

    def _make_changes(self) -> None:
        for change in list(self._pending):
            since = self._story.first_s.get(change.once) if change.once else self._start_s
            if since is not None and time.monotonic() - since >= change.at_s:
                self._pending.remove(change)
                self._do(change)

    def _do(self, change: Change) -> None:
        target = change.target or (self._scenario.adapters[0].name if change.do in CABLES else self._scenario.lans[0].name)
        if change.do is Do.PLUG:
            self._present.add(target)
            self._switches.plug(self._adapters[target], self._board)
        elif change.do in CABLES:
            self._switches.set_cable(self._adapters[target], plugged=change.do is Do.REPLUG)
        elif change.do is Do.START_DHCP:
            for dhcp in self._scenario.dhcp:
                if dhcp.lan == target:
                    self._switches.start_dhcp(dhcp, self.url)
        elif change.do is Do.STOP_DHCP:
            self._switches.stop_dhcp(target)
        else:
            OTHER_CHANGES[change.do](self)

    def start_server(self) -> None:
        """The boot server from now on, with all that the one before it knew."""
        self._server = make_server(self._scenario, self._payload, self._story, self._tls)
        self._server.__enter__()

    def stop_server(self) -> None:
        """Its connections end too."""
        if self._server is not None:
            self._server.__exit__(None, None, None)
            self._server = None

    def start_dns(self) -> None:
        """Names are answered from now on."""
        self._switches.start_dns(self._address)

    def kill_agent(self) -> None:
        """As the kernel would for want of memory, or a fault of its own."""
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if folder.name.isdigit() and (folder / "cmdline").read_bytes().startswith(AGENT + b"\0"):
                    end_process(int(folder.name))

    def fill_memory(self) -> None:
        """Nothing more can be written on the board."""
        with contextlib.suppress(OSError), Path(f"/proc/{self._board}/{FILLER}").open("wb") as file:
            while True:
                file.write(bytes(1 << 16))

    def free_memory(self) -> None:
        """It can again."""
        Path(f"/proc/{self._board}/{FILLER}").unlink(missing_ok=True)

    def _make_certificates(self) -> None:
        folder = self._place.folder / "tls"
        folder.mkdir()
        certificates = Certificates(folder)
        self._tls = certificates.issue("server", f"IP:{self._address}")
        self._ca = certificates.ca.read_text()

    def _root(self) -> BoardRoot:
        stage, board = self._stage, self._scenario.board
        script = self._loader is Loader.SCRIPT
        return BoardRoot(
            lower=((str(stage.script_root), str(stage.tree)) if script else (str(stage.tree),)),
            identity=str(stage.boards / board.identity),
            record=str(self._place.record),
            command_line=" ".join(self._script_words() if script else self._agent_words()),
            root_mib=board.root_mib,
            files={} if script else self._card(),
        )

    def _agent_words(self) -> list[str]:
        pinned = [f"bootpilot.server={self.url}"] if self._scenario.server.pinned else []
        return ["console=ttyS0", *pinned, *self._scenario.board.words]

    def _script_words(self) -> list[str]:
        payload = self._payload
        return [f"bench.server={self.url}", f"bench.kernel={payload.kernel_sha256}", f"bench.initrd={payload.initrd_sha256}"]

    def _card(self) -> dict[str, str]:
        """What is on the card, as a loader that started this one would hand it on: a namespace has no disks."""
        text = self._scenario.board.card.replace("SERVER", self.url)
        if self._ca:
            text += f'server = "{self.url}"\nca = """\n{self._ca}"""\n'
        if not text:
            return {}
        note = '{"version": 1, "loader_builds": []}\n'
        return {"bootpilot/boot.json": note, "bootpilot/card/bootpilot.txt": text}

    def _environment(self) -> Mapping[str, str]:
        clock = self._scenario.board.clock_unix_s
        return {} if clock is None else {"LD_PRELOAD": "/usr/lib/board-clock.so", "BOARD_CLOCK": str(clock)}

    def _console(self) -> bytes:
        return self._place.console.read_bytes() if self._place.console.exists() else b""

    def _last_words(self) -> str:
        return "\n".join(self._console().decode(errors="replace").splitlines()[-LAST_WORDS:])


CABLES = (Do.PLUG, Do.UNPLUG, Do.REPLUG)
OTHER_CHANGES = {
    Do.START_SERVER: World.start_server,
    Do.STOP_SERVER: World.stop_server,
    Do.START_DNS: World.start_dns,
    Do.KILL_AGENT: World.kill_agent,
    Do.FILL_MEMORY: World.fill_memory,
    Do.FREE_MEMORY: World.free_memory,
}
