"""Plays one recorded boot inside the namespaces: its network, its servers, the frozen agent; until it ends.

python -m scripts.replaying.inside FOLDER STAGE: reads tape and stand-ins in FOLDER, leaves there what was asked and done.
"""

import os
import ssl
import sys
import time
import traceback
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bootpilot_agent.errors import AgentError
from bootpilot_agent.run import Process, spawn
from scripts.faults.board_root import BoardRoot
from scripts.faults.cell import enter_cell, prepare_cell
from scripts.faults.confinement import PR_SET_PDEATHSIG, namespaces, prctl, prove_confined
from scripts.faults.dhcp_server import DhcpServer, Manner
from scripts.faults.errors import FaultsError
from scripts.faults.lan import Switches, ip
from scripts.faults.power import PowerSwitch
from scripts.faults.stage import Stage
from scripts.lab.certificates import Certificates
from scripts.replaying.call import JUMP, Call, Place
from scripts.replaying.errors import ReplayError
from scripts.replaying.overlay import overlay_of
from scripts.replaying.replay_server import ReplayServer
from scripts.replaying.script import Script
from scripts.replaying.wiring import PORTS, Wire, Wiring, wire_up
from scripts.scenarios.scenario import Adapter, Lan

TICK_S = 0.05
SIGKILL = 9
# After the last word of a failure was said, for what is still on its way to the server.
LAST_WORDS_S = 1.0
ROOT_MIB = 1024
EVERYWHERE = "0.0.0.0"  # noqa: S104 # in a namespace of its own
DNS_MANNERS = ("--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts")


def main() -> int:
    """The exit code: 0 where the boot was played, whatever came of it; 1 where the harness failed."""
    place, stage = Place(Path(sys.argv[1])), Stage(Path(sys.argv[2]))
    outside = namespaces()
    try:
        enter_cell()
        child = os.fork()
        if child == 0:
            prctl(PR_SET_PDEATHSIG, SIGKILL)
            prepare_cell()
            prove_confined(outside)
            power = PowerSwitch(outside)
            with ExitStack() as stack:
                Inside(place, stage, power, stack).play()
            os._exit(0)
    except (AgentError, FaultsError, ReplayError, OSError):
        traceback.print_exc()
        os._exit(1)
    _, status = os.waitpid(child, 0)
    return 0 if status == 0 else 1


@dataclass
class Inside:
    """One replay. `power` was made before any thread."""

    place: Place
    stage: Stage
    power: PowerSwitch
    stack: ExitStack
    call: Call = field(init=False)
    script: Script = field(init=False)
    wiring: Wiring = field(init=False)
    _switches: Switches = field(init=False)
    _ca: str = ""
    _board: int = 0
    _start_s: float = 0.0

    def __post_init__(self) -> None:
        self.call = self.place.read_call()
        self.script = Script(self.call.tape, self.call.stand_ins, overlay_of(self.call.fault))
        self.wiring = wire_up(self.call.tape)
        lans = {name: Lan(name, address) for name, address in self.wiring.addresses.items()}
        silent = {wire.lan: Lan(wire.lan, "") for wire in self.wiring.wires if wire.lan not in lans}
        self._switches = Switches({**lans, **silent}, self.place.folder)

    def play(self) -> None:
        """Raises FaultsError, ReplayError where the harness itself fails."""
        self.place.record.mkdir()
        self._lay_cables()
        self._start_servers()
        self._start_s = time.monotonic()
        self._power_on()
        how = self._watch()
        self.power.off()
        self.place.write_asked(how, self.script)

    def _watch(self) -> str:
        """Until the boot ends, leaves the tape, or time is over."""
        wires = [wire for wire in self.wiring.wires if wire.at_s]
        offers = sorted(self.wiring.offers, key=lambda offer: offer.at_s)
        limit_s = self._start_s + self.call.limit_s
        while time.monotonic() < limit_s:
            since_s = time.monotonic() - self._start_s
            while wires and wires[0].at_s <= since_s:
                self._plug(wires.pop(0))
            while offers and offers[0].at_s <= since_s:
                offer = offers.pop(0)
                only = bytes.fromhex(offer.only.replace(":", ""))
                manner = Manner(offer.ours, offer.host, offer.options, offer.delay_s, only=only)
                self.stack.callback(DhcpServer(offer.lan, manner).close)
            if how := self._ended():
                return how
            time.sleep(TICK_S)
        return "nothing more came of it"

    def _ended(self) -> str:
        endings = self.place.record / "endings"
        if endings.exists() and (words := endings.read_text().split()):
            return JUMP if words[0] == "jump" else words[0]
        if self.script.has_left_the_tape():
            until = self.call.tape.until
            return f"as far as {until}" if until else "it asked what the recorded boot did not ask"
        said = self.place.console.read_bytes() if self.place.console.exists() else b""
        if b"FAILED at" in said and (b"next try in" in said or b"reboot in" in said or b"bootpilot.shell" in said):
            time.sleep(LAST_WORDS_S)
            return "the failure is told"
        return ""

    def _lay_cables(self) -> None:
        ip("link", "set", "lo", "up")
        for name, lan in self._switches.lans.items():
            ip("link", "add", "name", name, "type", "bridge")
            if lan.address:
                ip("addr", "add", lan.address, "dev", name)
            ip("link", "set", name, "up")
        for address in self.wiring.extra_addresses:
            ip("addr", "add", f"{address}/32", "dev", "lo")

    def _start_servers(self) -> None:
        secure = [urlsplit(origin).hostname or "" for origin in self.wiring.origins if origin.startswith("https:")]
        tls = self._make_certificates(secure) if secure else None
        for origin in self.wiring.origins:
            parts = urlsplit(origin)
            address = EVERYWHERE if parts.hostname in self.wiring.names else parts.hostname or EVERYWHERE
            server = ReplayServer(
                self.script,
                origin,
                address,
                parts.port or PORTS[parts.scheme],
                tls=tls if parts.scheme == "https" else None,
                interfaces=self.wiring.interfaces,
                lock=self.call.lock,
            )
            self.stack.enter_context(server.server)
        if self.wiring.names:
            address = next(iter(self.wiring.addresses.values())).partition("/")[0]
            self.stack.callback(_end, spawn(["dnsmasq", *DNS_MANNERS, f"--address=/#/{address}"]))

    def _make_certificates(self, hosts: list[str]) -> ssl.SSLContext:
        folder = self.place.folder / "tls"
        folder.mkdir()
        certificates = Certificates(folder)
        self._ca = certificates.ca.read_text()
        kinds = [f"{'DNS' if host in self.wiring.names else 'IP'}:{host}" for host in hosts]
        return certificates.issue("server", ",".join(kinds))

    def _power_on(self) -> None:
        root = BoardRoot(
            lower=(str(self.stage.tree),),
            identity=str(self.place.identity),
            record=str(self.place.record),
            command_line=self.call.command_line,
            root_mib=ROOT_MIB,
            files=self.call.files(self._ca),
        )
        self._board = self.power.on(root, str(self.place.console), self.call.environment)
        for wire in self.wiring.wires:
            if not wire.at_s:
                self._plug(wire)
        self.power.go()

    def _plug(self, wire: Wire) -> None:
        number = self.wiring.wires.index(wire) + 1
        mac = wire.mac or f"02:00:00:00:00:{number:02x}"
        self._switches.plug(Adapter(wire.interface, wire.lan, mac, cable=wire.cable), self._board)


def _end(program: Process) -> None:
    program.kill()
    program.wait()


if __name__ == "__main__":
    sys.exit(main())
