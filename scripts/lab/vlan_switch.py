"""A switch for one simulated board: a trunk port, where one VLAN goes tagged, and an access port, where it goes untagged.

QEMU's user-mode network knows no VLANs, so this stands between it and the board. Owns the two UNIX sockets that QEMU's
`-netdev stream` connects to; changes tags (IEEE 802.1Q, 9.6) and looks at nothing else in a frame.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TPID = b"\x81\x00"
ADDRESSES_BYTES = 12
VLAN_MASK = 0x0FFF  # the rest of the tag is priority
# QEMU's net/stream.c: each frame comes behind its length in network byte order.
LENGTH_BYTES = 4
END_TIMEOUT_S = 10.0


def add_tag(frame: bytes, vlan: int) -> bytes:
    """The frame as it goes over a trunk."""
    return frame[:ADDRESSES_BYTES] + TPID + vlan.to_bytes(2, "big") + frame[ADDRESSES_BYTES:]


def take_tag(frame: bytes, vlan: int) -> bytes | None:
    """The frame as the VLAN's access ports see it; None for one that is untagged or of another VLAN: it goes nowhere."""
    tag = frame[ADDRESSES_BYTES : ADDRESSES_BYTES + 4]
    if len(tag) < 4 or tag[:2] != TPID or int.from_bytes(tag[2:], "big") & VLAN_MASK != vlan:
        return None
    return frame[:ADDRESSES_BYTES] + frame[ADDRESSES_BYTES + 4 :]


class VlanSwitch:
    """Made by `vlan_switch`. `refused` counts frames that came over the trunk without this VLAN's tag."""

    def __init__(self, folder: Path, vlan: int) -> None:
        self.trunk, self.access = folder / "trunk", folder / "access"
        self.carried = self.refused = 0
        self._listeners = [_listen(path) for path in (self.trunk, self.access)]
        self._connections: list[socket.socket | None] = [None, None]
        changes: tuple[Callable[[bytes], bytes | None], ...] = (
            lambda frame: take_tag(frame, vlan),
            lambda frame: add_tag(frame, vlan),
        )
        self._threads = [
            threading.Thread(target=self._serve, args=(port, change), daemon=True) for port, change in enumerate(changes)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Unplug both ports."""
        for link in (*self._listeners, *self._connections):
            if link:
                with contextlib.suppress(OSError):
                    link.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(END_TIMEOUT_S)
        for listener in self._listeners:
            listener.close()

    def _serve(self, port: int, change: Callable[[bytes], bytes | None]) -> None:
        """One QEMU after the other: a boot that is lost is done again."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listeners[port].accept()
                self._connections[port] = connection
                with connection, contextlib.suppress(OSError):
                    self._carry(connection, 1 - port, change)
                self._connections[port] = None

    def _carry(self, source: socket.socket, to: int, change: Callable[[bytes], bytes | None]) -> None:
        for frame in _frames(source):
            changed = change(frame)
            if changed is None:
                self.refused += 1
            elif sink := self._connections[to]:
                sink.sendall(len(changed).to_bytes(LENGTH_BYTES, "big") + changed)
                self.carried += 1


def _frames(source: socket.socket) -> Iterator[bytes]:
    with source.makefile("rb") as stream:
        while len(length := stream.read(LENGTH_BYTES)) == LENGTH_BYTES:
            yield stream.read(int.from_bytes(length, "big"))


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    return listener


@contextmanager
def vlan_switch(folder: Path, vlan: int) -> Iterator[VlanSwitch]:
    """A switch with its sockets in `folder`, for as long as the block lasts."""
    switch = VlanSwitch(folder, vlan)
    try:
        yield switch
    finally:
        switch.close()
