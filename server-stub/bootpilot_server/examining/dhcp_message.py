"""The question of a board that has no address yet, and what an operator wants to know of the offers. No I/O here.

The packets are the agent's own (dhcp_packet.py), and so is what counts as a boot server's URL: what is found here, boards find.
"""

from dataclasses import dataclass

from bootpilot_agent import dhcp_packet
from bootpilot_agent.dhcp import NOT_TAKEN, DhcpEvent, parse_named_servers
from bootpilot_agent.dhcp_packet import Question

VENDOR_CLASS = "bootpilot"


@dataclass(frozen=True)
class Offer:
    """One server's answer. `boot_server` is the URL that it names by option 224, or else 67; "" for none."""

    server: str
    address: str
    router: str
    dns: tuple[str, ...]
    boot_server: str


def discover(xid: int, mac: bytes) -> Question:
    """The question, as a board asks that has no client-id."""
    return Question(xid, mac, b"", VENDOR_CLASS, b"")


def read_offer(message: bytes, question: Question) -> Offer | None:
    """None for anything but an offer that answers this question."""
    values = dhcp_packet.read_offer(message, question)
    if values is None:
        return None
    named = parse_named_servers(DhcpEvent(NOT_TAKEN, values))
    return Offer(
        server=next(iter(values.get("serverid", "").split()), ""),
        address=values["ip"],
        router=next(iter(values.get("router", "").split()), ""),
        dns=tuple(values.get("dns", "").split()),
        boot_server=next(iter(named.urls), ""),
    )
