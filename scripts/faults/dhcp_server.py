"""A small DHCP server that does what dnsmasq never would: refuses, is late, gives leases of seconds, says nonsense (RFC 2131).

It has one address for each client-id and keeps nothing. Runs in a thread until `close`.
"""

import contextlib
import ipaddress
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MAGIC = b"\x63\x82\x53\x63"
DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6
SERVER_PORT, CLIENT_PORT = 67, 68
SUBNET, ROUTER, DNS, LEASE, KIND, SERVER_ID, CLIENT_ID, END = 1, 3, 6, 51, 53, 54, 61, 255
HEAD = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
LONGEST_OPTION = 255


@dataclass(frozen=True)
class Manner:
    """How it answers. `options`: what stands in every offer and acknowledgement, code -> bytes. `only`: the one hardware
    address that it answers, where another server has the others.
    """

    interface: ipaddress.IPv4Interface
    first_host: int
    options: Mapping[int, bytes]
    delay_s: float = 0.0
    naks: int = 0
    offer_delay_s: float = 0.0
    only: bytes = b""


class DhcpServer:
    """Listens on one network device, which has `manner.interface`'s address."""

    def __init__(self, device: str, manner: Manner) -> None:
        self._manner = manner
        self._naks = manner.naks
        self._clients: list[bytes] = []
        self._ending = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        self._socket.settimeout(0.2)
        self._socket.bind(("", SERVER_PORT))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError, ValueError, struct.error):
                packet = self._socket.recv(2048)
                asked = dict(read_options(packet[HEAD.size :])).get(KIND, b"\0")[0]
                answer = self._answer(packet)
                if answer:
                    late_s = self._manner.delay_s + (self._manner.offer_delay_s if asked == DISCOVER else 0)
                    timer = threading.Timer(late_s, self._send, (answer,))
                    timer.daemon = True
                    timer.start()

    def _send(self, packet: bytes) -> None:
        with contextlib.suppress(OSError):  # the network may be gone by now
            self._socket.sendto(packet, ("255.255.255.255", CLIENT_PORT))

    def _answer(self, packet: bytes) -> bytes | None:
        options = dict(read_options(packet[HEAD.size :]))
        kind = {DISCOVER: OFFER, REQUEST: ACK}.get(options.get(KIND, b"\0")[0])
        wanted = options.get(SERVER_ID, self._manner.interface.ip.packed)
        if packet[0] != 1 or kind is None or wanted != self._manner.interface.ip.packed:
            return None
        if not packet[28:34].startswith(self._manner.only):
            return None
        if kind == ACK and self._naks:
            self._naks -= 1
            return self._packet(packet, NAK, bytes(4), {})
        client = options.get(CLIENT_ID, packet[28:34])
        if client not in self._clients:
            self._clients.append(client)
        host = self._manner.first_host + self._clients.index(client)
        address = ipaddress.IPv4Address(int(self._manner.interface.network.network_address) + host)
        return self._packet(packet, kind, address.packed, self._manner.options)

    def _packet(self, asked: bytes, kind: int, yours: bytes, options: Mapping[int, bytes]) -> bytes:
        _, hardware, length, _, number, seconds, flags, _, _, _, relay, client, _, _ = HEAD.unpack_from(asked)
        head = HEAD.pack(
            2, hardware, length, 0, number, seconds, flags, bytes(4), yours, bytes(4), relay, client, bytes(64), bytes(128)
        )
        told = {KIND: bytes([kind]), SERVER_ID: self._manner.interface.ip.packed, **options}
        return head + MAGIC + b"".join(_option(code, value) for code, value in told.items()) + bytes([END])


def read_options(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Code and value of each option of a packet from its magic number on. Raises ValueError, IndexError for what is no DHCP."""
    if data[:4] != MAGIC:
        raise ValueError("no DHCP packet")
    place = 4
    while place + 1 < len(data) and data[place] != END:
        if data[place] == 0:
            place += 1
            continue
        yield data[place], data[place + 2 : place + 2 + data[place + 1]]
        place += 2 + data[place + 1]


def _option(code: int, value: bytes) -> bytes:
    return bytes([code, min(len(value), LONGEST_OPTION)]) + value[:LONGEST_OPTION]
