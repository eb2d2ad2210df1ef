"""How a board leaves the agent: for a payload, by a reboot, powered off; and back to the network after a jump that came back.

Owns what was let go of on the way out. Once the network was left, only a fresh loader gives a state that is known to work.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootpilot_agent.attention import Attention
from bootpilot_agent.deadline import Deadline
from bootpilot_agent.devices import Devices
from bootpilot_agent.ending import POWER_OFF, REBOOT, leave
from bootpilot_agent.given_identity import identity_root
from bootpilot_agent.hardware import read_board
from bootpilot_agent.identity import read_evidence
from bootpilot_agent.plan import Watchdog
from bootpilot_agent.settings import Settings
from bootpilot_agent.unbinding import LetGo, bind_again, unbind_devices

if TYPE_CHECKING:
    from bootpilot_agent.network import Candidate

RETURN_S = 30.0


@dataclass
class Departure:
    """`has_left` is true from the first step out on."""

    devices: Devices
    attention: Attention
    has_left: bool = False
    _let_go: tuple[LetGo, ...] = ()

    def for_payload(self, watchdog: Watchdog, watchdog_s: int) -> None:
        """Network down, devices that would disturb the next kernel let go, the watchdog as the plan says."""
        say = self.devices.console.say
        say("jumping into the payload's kernel")
        self.has_left = True
        self.devices.network.down()
        self._let_go = unbind_devices(read_board(self.devices.root), say, self.devices.root)
        self.attention.release_watchdog(watchdog, watchdog_s)

    def reboot(self) -> None:
        """The watchdog is fed no more: a reboot that hangs ends in a reset. Raises CommandError where nothing is obeyed."""
        self.attention.starve_watchdog()
        self.has_left = True
        leave(REBOOT, self.devices)

    def power_off(self) -> None:
        """The watchdog is stopped: a board that can only halt would be reset by it. Raises CommandError likewise."""
        self.attention.release_watchdog(Watchdog.STOP, 0)
        self.has_left = True
        leave(POWER_OFF, self.devices)

    def come_back(self, way: "Candidate | None", settings: Settings | None) -> None:
        """After a jump that came back, to tell it: to the server this boot was handed over, and all is well."""
        if way is None or settings is None:
            return None
        say, network = self.devices.console.say, self.devices.network
        say("back to the network, to tell the server")
        bind_again(self._let_go, say)
        network.start(settings, read_evidence(identity_root(self.devices.root)))
        deadline = Deadline.after(RETURN_S, self.devices.clock)
        while not deadline.passed():
            for candidate in network.candidates():
                if (candidate.lease.interface, candidate.lease.method) == (way.lease.interface, way.lease.method):
                    return network.use(candidate)
            self.attention.idle(1.0)
        say(f"{way.lease.interface}: no address in {RETURN_S:.0f} s; going on without")
        return None
