"""What DHCP servers said to the recorded board. No I/O here."""

import contextlib
from collections.abc import Iterator

from bootpilot_agent.dhcp import NOT_TAKEN, DhcpError, DhcpEvent, DhcpOffer, parse_event, parse_offer
from bootpilot_agent.recording_lines import DhcpLine
from scripts.replaying.tape import Dump, Tape


def first_leases(tape: Tape) -> Iterator[tuple[str, tuple[Dump, DhcpEvent]]]:
    """By interface: its first usable lease."""
    seen: set[str] = set()
    for dump in tape.dumps:
        event, offer = read_dump(dump.line)
        if event is not None and offer is not None and dump.line.interface not in seen:
            seen.add(dump.line.interface)
            yield dump.line.interface, (dump, event)


def leases_that_end(tape: Tape) -> Iterator[str]:
    """Of each interface whose first lease did not last, a sentence that says so: here it has that one throughout."""
    first: dict[str, str] = {}
    told: set[str] = set()
    for dump in tape.dumps:
        event, offer = read_dump(dump.line)
        interface = dump.line.interface
        if offer is not None:
            first.setdefault(interface, offer.address)
        ended = event is not None and event.name != NOT_TAKEN and (offer is None or offer.address != first.get(interface))
        if ended and interface in first and interface not in told:
            told.add(interface)
            yield f"{interface} lost {first[interface]} after {dump.at_ms / 1000:.0f} s; here it kept its first lease"


def not_taken(interface: str, tape: Tape) -> Iterator[tuple[Dump, DhcpEvent]]:
    """What other DHCP servers offered on this interface, once for each; as offers, so that all of it can be read."""
    seen: set[str] = set()
    for dump in tape.dumps:
        event, _ = read_dump(dump.line)
        if dump.line.interface != interface or event is None or event.name != NOT_TAKEN:
            continue
        server = event.values.get("serverid", "")
        with contextlib.suppress(DhcpError):
            parse_offer(event)
            if server not in seen:
                seen.add(server)
                yield dump, event


def read_dump(line: DhcpLine) -> tuple[DhcpEvent | None, DhcpOffer | None]:
    """What the DHCP client said, and the lease in it; None for what is not there or cannot be used."""
    try:
        event = parse_event(line.text.encode("latin-1", "replace"))
        return event, parse_offer(event) if event.has_lease else None
    except DhcpError:
        return None, None
