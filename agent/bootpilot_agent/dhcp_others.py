"""Boot servers that other DHCP servers of a network name than the one whose lease is used.

udhcpc takes the first offer, and where two servers are on one network that is mostly the same one every time. If it names no
boot server, or for minutes none that answers, all are asked once more, beside udhcpc and without taking anything, and the first
offer that names another boot server counts.
"""

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bootpilot_agent.console import say
from bootpilot_agent.dhcp import NOT_TAKEN, DhcpEvent, NamedServers, parse_event, parse_named_servers
from bootpilot_agent.dhcp_client import EventFolder
from bootpilot_agent.dhcp_packet import Question, read_offer, to_dump

CLIENT_PORT, SERVER_PORT = 68, 67
# Servers take up to 3 s to see by ping whether an address is free; a question may get lost.
ROUND_S, REPEAT_S = 12.0, 4.0
# A boot server that the lease names is waited for before others are looked for: while it restarts, its boards must not go over
# to a neighbour's. After that, and where the lease names none, all are asked again this often.
PATIENCE_S, AGAIN_S = 180.0, 60.0
MAX_PACKET_BYTES = 4096
LOOK_EVERY_S = 0.5


class OtherServers:
    """On one interface. `urls`: what was named beside the lease; `follow()` after every piece of news."""

    def __init__(self, interface: str, ask: Callable[[int], Question], events: EventFolder) -> None:
        self.urls: tuple[str, ...] = ()
        self._interface = interface
        self._file = f"{interface}.others"
        self._ask = ask
        self._events = events
        self._next_s: float | None = None
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self._trouble = ""

    def follow(self, named: tuple[str, ...], *, searching: bool) -> None:
        """There is a lease, and it names these. Nobody is asked unless a boot server is still looked for."""
        dump = self._events.take(self._interface, self._file)
        if dump is not None:
            self._hear(parse_named_servers(parse_event(dump)), named)
        now_s = time.monotonic()
        if self._next_s is None:
            self._next_s = now_s + (PATIENCE_S if named else 0.0)
        if searching and now_s >= self._next_s and (self._thread is None or not self._thread.is_alive()):
            self._next_s = now_s + AGAIN_S
            known = {*named, *self.urls}
            self._thread = threading.Thread(target=self._round, args=(known,), name=f"offers on {self._interface}", daemon=True)
            self._thread.start()

    def _hear(self, offer: NamedServers, named: tuple[str, ...]) -> None:
        new = [url for url in offer.urls if url not in (*named, *self.urls)]
        self.urls += tuple(new)
        for url in new:
            say(f"{self._interface}: DHCP server {offer.server or '?'}, whose lease is not in use, names {url}")

    def forget(self) -> None:
        """The lease is gone, and with it what was said on its network."""
        self.urls = ()
        self._next_s = None

    def end(self) -> None:
        """Ask no more; a round that is under way ends by itself within half a second."""
        self._over.set()

    def _round(self, known: set[str]) -> None:
        try:
            with _client(self._interface) as client:
                self._listen(client, known)
        except OSError as error:
            trouble = f"other DHCP servers cannot be asked: {error.strerror or error}"
            if trouble != self._trouble and not self._over.is_set():
                say(f"{self._interface}: {trouble}")
            self._trouble = trouble

    def _listen(self, client: socket.socket, known: set[str]) -> None:
        question = self._ask(int.from_bytes(os.urandom(4), "big"))
        end_s = time.monotonic() + ROUND_S
        ask_s = 0.0
        while not self._over.is_set() and (now_s := time.monotonic()) < end_s:
            if now_s >= ask_s:
                ask_s = now_s + REPEAT_S
                client.sendto(question.to_bytes(), ("255.255.255.255", SERVER_PORT))
            if not select.select([client], [], [], LOOK_EVERY_S)[0]:
                continue
            values = read_offer(client.recv(MAX_PACKET_BYTES), question)
            if values is not None and set(parse_named_servers(DhcpEvent(NOT_TAKEN, values)).urls) - known:
                self._events.leave(self._file, to_dump(NOT_TAKEN, values))
                return


@contextmanager
def _client(interface: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        # udhcpc listens there while it renews a lease, and allows others beside it as well; broadcasts come to both.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        client.bind(("", CLIENT_PORT))
        yield client
