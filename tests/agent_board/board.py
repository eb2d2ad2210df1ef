"""The board's end of the cables: a Network as the agent runs it, and what tests wait for and look at."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

from bootpilot_agent import console
from bootpilot_agent.evidence import Evidence, EvidenceKind, Grade
from bootpilot_agent.network import Candidate, Network
from bootpilot_agent.settings import Settings

HOOK = Path(__file__).parents[2] / "initramfs/overlay/usr/lib/bootpilot/udhcpc"
EVIDENCE = (Evidence(EvidenceKind.DT_SERIAL, "02c000814a58bd80", "/serial-number", Grade.STRONG),)
RESOLV_CONF = Path("/run/resolv.conf")
EVENTS = Path("/run/bootpilot/dhcp")
PATIENCE_S = 60.0


def start(settings: Settings | None = None, evidence: tuple[Evidence, ...] = EVIDENCE) -> Network:
    network = Network("arm64", state=EVENTS, hook=HOOK, resolv_conf=RESOLV_CONF)
    network.start(settings or Settings(), evidence)
    return network


def wait_for(network: Network, wanted: Callable[[Candidate], bool] = lambda _: True) -> Candidate:
    """Poll until there is a candidate as wanted."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        for candidate in network.candidates():
            if wanted(candidate):
                return candidate
        network.poll(0.5)
    raise AssertionError(f"no such candidate; there are {network.candidates()}, {network.describe()}")


def wait_until(network: Network, wanted: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not wanted():
        assert time.monotonic() < end_s, network.describe()
        network.poll(0.5)


def on(interface: str) -> Callable[[Candidate], bool]:
    return lambda candidate: candidate.lease.interface == interface


def by(method: str) -> Callable[[Candidate], bool]:
    return lambda candidate: candidate.lease.method == method


def page(host: str, interface: str = "", port: int = 80) -> str:
    """What an HTTP server says, asked over one interface or as the routes lead."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        if interface:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        client.connect((host, port))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return client.makefile().read().rpartition("\n")[2]


def said() -> str:
    return console.transcript().decode()
