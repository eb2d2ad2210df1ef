"""Who a board says it is to the network: DHCP client-id, vendor and user class, and a stable MAC. No I/O here."""

from collections.abc import Sequence

from bootpilot_agent.evidence import Evidence


def client_id(evidence: Sequence[Evidence], index: int, mac: str) -> bytes:
    """The value of option 61 for the interface started as number `index`, with the type byte first."""
    raise NotImplementedError


def stable_mac(evidence: Sequence[Evidence], nic_path: str) -> str | None:
    """A locally administered MAC (02:...) that is the same at every boot; None if nothing names this board."""
    raise NotImplementedError
