"""Looks a host name up over one interface with that interface's name servers, so that several networks can be tried at once.

The system's own resolver knows one /etc/resolv.conf for all interfaces; this one sends from a socket bound to one.
"""

import ipaddress
import socket
import time
from collections.abc import Sequence

from bootpilot_agent.errors import NetworkError

TRY_S = 2.0
PORT = 53


def resolve(host: str, nameservers: Sequence[str], interface: str, timeout_s: float, port: int = PORT) -> list[str]:
    """Addresses of `host`, A before AAAA; an IP literal is its own answer. Raises NetworkError when there is none.

    Each name server is asked again and again until `timeout_s` is over; one that answers that the name does not exist is
    believed. A name for which there are no addresses at all is an error too.
    """
    if literal := _literal(host):
        return [literal]
    if not nameservers:
        hint = "name a DNS server (`dns`), or use an address in the server's URL"
        raise NetworkError(f"{host} cannot be looked up over {interface}: no name server is known there", hint)
    end_s = time.monotonic() + timeout_s
    reasons: dict[str, str] = {}
    while time.monotonic() < end_s:
        for nameserver in nameservers:
            try:
                return _ask_both(host, nameserver, interface, end_s, port)
            except NetworkError as error:
                reasons[nameserver] = error.message
        if all(reason.startswith("answers") for reason in reasons.values()):
            break
        time.sleep(0.2)  # an unreachable name server fails at once
    told = "; ".join(f"{nameserver} {reason}" for nameserver, reason in reasons.items()) or "no time left"
    raise NetworkError(
        f"{host} has no address over {interface}: {told}", "check the name in the server's URL and the DNS server"
    )


def _literal(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return ""


def _ask_both(host: str, nameserver: str, interface: str, end_s: float, port: int) -> list[str]:
    found = _ask(host, "A", nameserver, interface, end_s, port)
    try:
        found += _ask(host, "AAAA", nameserver, interface, end_s, port)
    except NetworkError:
        # Small routers and load balancers ignore AAAA, refuse it, or deny the whole name (RFC 4074, section 4).
        if not found:
            raise
    if not found:
        raise NetworkError("answers that the name has no address")
    return found


def _ask(host: str, kind: str, nameserver: str, interface: str, end_s: float, port: int) -> list[str]:
    # Imported late: most boards are given an address and never need it.
    import dns.exception
    import dns.message
    import dns.query
    import dns.rcode

    left_s = max(0.1, min(TRY_S, end_s - time.monotonic()))
    try:
        question = dns.message.make_query(host, kind)
        with _bound_socket(nameserver, interface) as bound:
            answer = dns.query.udp(question, nameserver, timeout=left_s, port=port, sock=bound, ignore_unexpected=True)
    except (dns.exception.DNSException, OSError) as error:
        raise NetworkError(f"does not answer ({error or type(error).__name__})") from error
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise NetworkError(f"refuses ({dns.rcode.to_text(answer.rcode())})")
    if answer.rcode() == dns.rcode.NXDOMAIN:
        raise NetworkError("answers that the name does not exist")
    # An answer may hold a chain of CNAMEs before the addresses.
    return [record.to_text() for records in answer.answer for record in records if record.rdtype == question.question[0].rdtype]


def _bound_socket(nameserver: str, interface: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in nameserver else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    except OSError:
        bound.close()
        raise
    return bound
