"""Stands between guest and boot server and notes when requests and answers pass. Touches its own sockets only.

Both loaders are measured through it, so what it costs falls out of every ratio.
"""

import contextlib
import socket
import threading
import time
from dataclasses import dataclass

CHUNK_BYTES = 1 << 18
ARTIFACT_REQUEST = b"GET /artifacts/"


@dataclass
class Traffic:
    """Monotonic times of one boot, 0.0 where it did not come to that."""

    first_request_s: float = 0.0
    first_artifact_s: float = 0.0
    last_byte_s: float = 0.0
    bytes_down: int = 0


class Relay:
    """Listens on a loopback port of its own and passes every connection on to `server_port`."""

    def __init__(self, server_port: int) -> None:
        self.traffic = Traffic()
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def start_over(self) -> None:
        """Forget the last boot."""
        self.traffic = Traffic()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
                for pump in (self._pump_up, self._pump_down):
                    threading.Thread(target=pump, args=(client, server), daemon=True).start()

    def _pump_up(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(CHUNK_BYTES):
                now_s = time.monotonic()
                self.traffic.first_request_s = self.traffic.first_request_s or now_s
                if data.startswith(ARTIFACT_REQUEST):
                    self.traffic.first_artifact_s = self.traffic.first_artifact_s or now_s
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _pump_down(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError), client, server:
            while data := server.recv(CHUNK_BYTES):
                client.sendall(data)
                if len(data) > len(ARTIFACT_REQUEST) and self.traffic.first_artifact_s and len(data) >= 4096:
                    self.traffic.last_byte_s = time.monotonic()
                self.traffic.bytes_down += len(data)
