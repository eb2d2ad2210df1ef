"""Asks the DHCP servers of a network what they would offer a board. Nothing is taken: an offer that is not answered lapses.

Touches one UDP socket for each network, on the port of DHCP clients. The agent opens such a one, too (dhcp_others.py): of the
agent, the server takes what is pure, the messages, and nothing that touches the machine.
"""

import errno
import os
import secrets
import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.examining.dhcp_message import Offer, discover, read_offer
from bootpilot_server.examining.finding import Finding, bad, good, note

CLIENT_PORT, SERVER_PORT = 68, 67
# A question is repeated as boards do (RFC 2131, 4.1); dnsmasq looks by ping for 3 s whether an address is free.
WAIT_S = 9.0
REPEAT_S = 4.0
# After the first offer: a second server, one that nobody knows of, is what is worth waiting for.
MORE_S = 4.0
IFF_UP, IFF_LOOPBACK = 0x1, 0x8


def networks() -> list[str]:
    """Interfaces that are up and have a link, but for the loopback; bridges' and bonds' members are asked through those."""
    found = []
    for _, name in socket.if_nameindex():
        folder = Path("/sys/class/net") / name
        with suppress(OSError, ValueError):
            flags = int((folder / "flags").read_text(), 16)
            has_link = (folder / "operstate").read_text().strip() in ("up", "unknown")
            if flags & IFF_UP and not flags & IFF_LOOPBACK and has_link and not (folder / "master").exists():
                found.append(name)
    return sorted(found)


def examine_dhcp(interfaces: Sequence[str], url: str) -> list[Finding]:
    """What is offered on each, against the URL that boards are to be told ("": any)."""
    if not interfaces:
        return [note("dhcp", "no network is up but the loopback", "--interface NAME names one")]
    findings: list[Finding] = []
    for name in interfaces:
        try:
            findings += _judge(name, ask(name), url)
        except OSError as error:
            findings.append(_no_question(name, error))
    return findings


def ask(interface: str, wait_s: float = WAIT_S) -> list[Offer]:
    """All offers that come within this time. Raises OSError, PermissionError where the port of clients is not ours to use."""
    offers = dict[str, Offer]()
    # An address of its own, locally administered: no lease of any board is touched.
    question = discover(secrets.randbits(32), b"\x02" + secrets.token_bytes(5))
    end, next_question = time.monotonic() + wait_s, 0.0
    with _client(interface) as client:
        while (now := time.monotonic()) < end:
            if now >= next_question:
                client.sendto(question.to_bytes(), ("255.255.255.255", SERVER_PORT))
                next_question = now + REPEAT_S
            if select.select([client], [], [], max(0.0, min(end, next_question) - now))[0]:
                offer = read_offer(client.recv(4096), question)
                if offer:
                    offers[offer.server] = offer
                    end = min(end, time.monotonic() + MORE_S)
    return list(offers.values())


@contextmanager
def _client(interface: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        # A DHCP client of this machine may listen there too: a broadcast comes to both.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        client.bind(("", CLIENT_PORT))
        yield client


def _judge(name: str, offers: Sequence[Offer], url: str) -> list[Finding]:
    subject = f"dhcp on {name}"
    if not offers:
        hint = "start one, or allow its traffic; or give boards an address on their cards (address, gateway, dns)"
        return [bad(subject, f"no DHCP server offered anything within {WAIT_S:.0f} s", hint)]
    findings = [_judge_offer(subject, offer, url) for offer in offers]
    if len(offers) > 1:
        servers = ", ".join(offer.server for offer in offers)
        findings.append(note(subject, f"{len(offers)} servers answer: {servers}", "make sure that all of them are meant to"))
    return findings


def _judge_offer(subject: str, offer: Offer, url: str) -> Finding:
    text = f"{offer.server} offers {offer.address}, router {offer.router or 'none'}, DNS {', '.join(offer.dns) or 'none'}"
    named = one_line(offer.boot_server)
    text += f", boot server {named}" if named else ", no boot server"
    if named and url and named.rstrip("/") != url.rstrip("/"):
        return bad(subject, text, f"option 224 (or 67) should be {url}: cards that name no server go to the other one")
    if not named:
        return note(subject, text, "boards need the server's URL on the card, or in DHCP's option 224 as text")
    return good(subject, text)


def _no_question(name: str, error: OSError) -> Finding:
    subject = f"dhcp on {name}"
    if error.errno in (errno.EACCES, errno.EPERM):
        hint = "sudo bootpilot doctor; --no-dhcp leaves it out"
        return note(subject, f"not asked: port {CLIENT_PORT} is not for this user", hint)
    if error.errno == errno.EADDRINUSE:
        return note(subject, f"not asked: a DHCP client holds port {CLIENT_PORT}", "stop that client for a moment")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return bad(subject, f"cannot be asked: {reason}", "`ip link` shows the networks of this machine; is it up?")
