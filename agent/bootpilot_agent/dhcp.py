"""What a DHCP server said, from the hook's dump to a checked DhcpOffer. No I/O here; nothing in it is trusted."""

from dataclasses import dataclass

from bootpilot_agent.errors import NetworkError


class DhcpError(NetworkError):
    """An offer that cannot be used; the message names the option."""


@dataclass(frozen=True)
class DhcpOffer:
    """A usable offer. `notes` says what in it was left out and why."""

    interface: str
    address: str  # with prefix length
    gateway: str
    dns: tuple[str, ...]
    domain: str
    mtu: int | None
    lease_s: int
    server: str
    server_urls: tuple[str, ...]
    notes: tuple[str, ...]


def parse_offer(dump: bytes) -> DhcpOffer:
    """The hook's NUL-separated environment -> offer. Raises DhcpError."""
    raise NotImplementedError
