"""Brings up every Ethernet interface at once and keeps them up: MAC, DHCP, static addresses, VLAN, SLAAC.

Owns the interfaces, the DHCP clients, the routes and /etc/resolv.conf. Knows nothing of boot servers: it offers candidates,
the caller finds the one over which a server answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent.drivers import Coldplug
from bootpilot_agent.evidence import Evidence
from bootpilot_agent.plan import Lease
from bootpilot_agent.settings import Settings


@dataclass(frozen=True)
class Candidate:
    """One way into the network. `lease.address` has its prefix length; bind probes to `lease.interface` (SO_BINDTODEVICE)."""

    lease: Lease
    mac: str
    server_urls: tuple[str, ...]  # from DHCP options 224 and 67; used only if Settings name no server


class Network:
    """All interfaces of the board. One thread calls everything but `candidates()`."""

    def __init__(self, arch: str, root: Path = Path("/"), coldplug: Coldplug | None = None) -> None:
        raise NotImplementedError

    def start(self, settings: Settings, evidence: Sequence[Evidence]) -> None:
        """Every Ethernet interface up, carrier or not. Returns at once; DHCP goes on in the background."""
        raise NotImplementedError

    def poll(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` for news (DHCP, carrier, a new interface, a new device) and act on it.

        True if the candidates changed. Calls `coldplug.poll()` too, so the caller needs no loop of its own for drivers.
        """
        raise NotImplementedError

    def candidates(self) -> tuple[Candidate, ...]:
        """What can be tried now, oldest first."""
        raise NotImplementedError

    def use(self, candidate: Candidate) -> None:
        """Its default route wins over all others, its name servers go into /etc/resolv.conf. Raises NetworkError."""
        raise NotImplementedError

    def describe(self) -> list[str]:
        """One line per interface for the console: name, driver, MAC, carrier, what it waits for."""
        raise NotImplementedError

    def down(self) -> None:
        """Before the jump: DHCP clients killed without release, addresses flushed, links down. Never raises."""
        raise NotImplementedError
