"""A cable that loses, delays, doubles, reorders and damages frames, between two network devices. Runs in threads until `close`.

As tc's netem would, but without the kernel module, which many machines lack. Chances come from a seed: the same at every run.
"""

import contextlib
import ctypes
import fcntl
import heapq
import random
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

from scripts.scenarios.scenario import Wear

ETH_P_ALL = 0x0003
# linux/sockios.h, linux/ethtool.h
SIOCETHTOOL, ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO = 0x8946, 0x17, 0x1F, 0x24
LONGEST_FRAME = 65536
PACKET_OUTGOING = 4  # linux/if_packet.h: our own, seen on its way out


class BadCable:
    """From `one` to `other` and back; only what goes to `one`, the board's side, suffers."""

    def __init__(self, one: str, other: str, wear: Wear, seed: str) -> None:
        self._ending = threading.Event()
        self._sockets = [_open(one), _open(other)]
        board, switch = self._sockets
        chance = random.Random(seed)  # noqa: S311 # for weather, not for secrets
        self._threads = [
            threading.Thread(target=_carry, args=(switch, board, Weather(wear, chance), self._ending), daemon=True),
            threading.Thread(target=_carry, args=(board, switch, Weather(Wear(), chance), self._ending), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()
        for opened in self._sockets:
            opened.close()


@dataclass
class Weather:
    """When which copy of a frame comes out."""

    wear: Wear
    chance: random.Random
    _waiting: list[tuple[float, int, bytes]] = field(default_factory=list)
    _count: int = 0

    def take(self, frame: bytes, now_s: float) -> None:
        wear, chance = self.wear, self.chance.random
        if chance() < wear.loss:
            return
        if chance() < wear.damage:
            place = self.chance.randrange(len(frame))
            frame = frame[:place] + bytes([frame[place] ^ 1 << self.chance.randrange(8)]) + frame[place + 1 :]
        for _ in range(2 if chance() < wear.double else 1):
            delay_s = 0.0 if chance() < wear.reorder else (wear.delay_ms + wear.jitter_ms * (2 * chance() - 1)) / 1000
            self._count += 1
            heapq.heappush(self._waiting, (now_s + delay_s, self._count, frame))

    def due(self, now_s: float) -> list[bytes]:
        found = []
        while self._waiting and self._waiting[0][0] <= now_s:
            found.append(heapq.heappop(self._waiting)[2])
        return found

    def next_s(self, now_s: float) -> float:
        """How long nothing comes out."""
        return min(0.2, max(0.001, self._waiting[0][0] - now_s)) if self._waiting else 0.2


def _carry(source: socket.socket, target: socket.socket, weather: Weather, ending: threading.Event) -> None:
    while not ending.is_set():
        source.settimeout(weather.next_s(time.monotonic()))
        with contextlib.suppress(OSError):  # nothing came, or the device has gone with its board
            frame, address = source.recvfrom(LONGEST_FRAME)
            if address[2] != PACKET_OUTGOING:
                weather.take(frame, time.monotonic())
        for frame in weather.due(time.monotonic()):
            with contextlib.suppress(OSError):
                target.send(frame)


def leave_sums_to_senders(device: str) -> None:
    """No checksum and no cutting into frames is left to hardware: what is read and sent again is whole. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        for what in (ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO):
            value = ctypes.create_string_buffer(struct.pack("II", what, 0))
            fcntl.ioctl(door, SIOCETHTOOL, struct.pack("16sP", device.encode(), ctypes.addressof(value)))


def _open(device: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    opened.bind((device, 0))
    return opened
