"""The recorded board's network for an agent in process: each lease is there from the moment it was."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from bootpilot_agent.addresses import GivenMac
from bootpilot_agent.dhcp import NOT_TAKEN, parse_named_servers
from bootpilot_agent.evidence import Evidence
from bootpilot_agent.fields import FieldError, Fields, Json
from bootpilot_agent.network import Candidate
from bootpilot_agent.plan import Lease
from bootpilot_agent.recording_lines import DhcpLine
from bootpilot_agent.settings import Settings
from scripts.replaying.recorded_leases import read_dump
from scripts.replaying.simulation import Simulation
from scripts.replaying.tape import Tape, as_object


@dataclass(frozen=True)
class Offered:
    """A candidate, or that there is none any more, on one interface from `at_s` on."""

    at_s: float
    interface: str
    candidate: Candidate | None


@dataclass
class PlayedNetwork:
    """devices.NetworkDevice. `on_poll`: what else happens meanwhile."""

    tape: Tape
    simulation: Simulation
    on_poll: Callable[[], object] = field(default=lambda: None)
    _offers: list[Offered] = field(default_factory=list)
    _settings: Settings | None = None

    def __post_init__(self) -> None:
        self._offers = sorted(offers_of(self.tape), key=lambda one: one.at_s)

    def start(self, settings: Settings, evidence: Sequence[Evidence]) -> None:
        self._settings = settings

    def poll(self, timeout_s: float) -> bool:
        self.on_poll()
        before = self.candidates()
        self.simulation.wait(lambda: self.candidates() != before, timeout_s)
        return self.candidates() != before

    def candidates(self) -> tuple[Candidate, ...]:
        now: dict[str, Candidate | None] = {}
        for one in self._offers:
            if one.at_s <= self.simulation.now_s:
                now[one.interface] = one.candidate
        dns = self._settings.dns if self._settings else ()
        found = [candidate for candidate in now.values() if candidate is not None]
        return tuple(replace(one, lease=replace(one.lease, dns=dns)) if dns else one for one in found)

    def use(self, candidate: Candidate) -> None:
        """There are no routes here."""

    def describe(self) -> list[str]:
        return [f"{one.interface}: as it was recorded" for one in self._offers if one.at_s <= 0 and one.candidate]

    def given_macs(self) -> tuple[GivenMac, ...]:
        return ()

    def down(self) -> None:
        """There is nothing to take down."""


def offers_of(tape: Tape) -> list[Offered]:
    """From what DHCP said, else from the leases in the reports; an interface that was only asked over has one all the same."""
    leases = leases_of(tape)
    heard = list(_heard(tape, leases))
    found = list(heard)
    served = {one.interface for one in heard if one.candidate}
    for exchange in tape.exchanges:
        interface = exchange.line.interface
        if interface not in served:
            served.add(interface)
            lease = leases.get(interface) or Lease(interface, "static", "0.0.0.0/0", "", (), "")
            found.append(Offered(min(exchange.at_ms / 1000, 0.0), interface, Candidate(lease, "", servers_of(tape))))
    return found


def leases_of(tape: Tape) -> dict[str, Lease]:
    """By interface, as the reports have them."""
    found: dict[str, Lease] = {}
    for exchange in tape.plans:
        lease = as_object(exchange.line.body.content).get("lease")
        with contextlib.suppress(FieldError):
            read = Lease.from_fields(Fields(lease if isinstance(lease, dict) else {}, "lease"))
            found[read.interface] = read
    return found


def servers_of(tape: Tape) -> tuple[str, ...]:
    """Every server that was asked; it counts only where the settings name none, so this stands in for what DHCP named."""
    hellos = [one.line.url.removesuffix("/v1/") for one in tape.exchanges if one.line.url.endswith("/v1/")]
    return tuple(dict.fromkeys(hellos))


def _heard(tape: Tape, leases: dict[str, Lease]) -> Iterator[Offered]:
    now: dict[str, Candidate | None] = {}
    for dump in tape.dumps:
        interface = dump.line.interface
        now[interface] = _after(dump.line, now.get(interface), leases)
        yield Offered(dump.at_ms / 1000, interface, now[interface])


def _after(line: DhcpLine, before: Candidate | None, leases: dict[str, Lease]) -> Candidate | None:
    """What there is after this event; an offer that was not taken only names more servers."""
    event, offer = read_dump(line)
    if event is not None and event.name == NOT_TAKEN and before is not None:
        named = dict.fromkeys((*before.server_urls, *parse_named_servers(event).urls))
        return replace(before, server_urls=tuple(named))
    if offer is None:
        return None
    interface = line.interface
    known: Json = leases[interface].client_id if interface in leases else ""
    lease = Lease(interface, "dhcp", offer.address, offer.gateway, offer.dns, str(known))
    urls = before.server_urls if before is not None and before.lease.address == offer.address else ()
    return Candidate(lease, "", tuple(dict.fromkeys((*offer.server_urls, *urls))))
