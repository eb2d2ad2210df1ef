"""Looks a host name up over one interface with that interface's name servers, so that several networks can be tried at once."""

from collections.abc import Sequence


def resolve(host: str, nameservers: Sequence[str], interface: str, timeout_s: float) -> list[str]:
    """Addresses of `host`, A before AAAA; an IP literal is its own answer. Raises NetworkError when there is none."""
    raise NotImplementedError
