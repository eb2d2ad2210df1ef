"""Talks to one QEMU over its control socket (QMP). Touches that socket only.

A thread reads; events are kept until somebody asks. Protocol: QEMU's docs/interop/qmp-spec.
"""

import contextlib
import json
import queue
import socket
import threading
import time
from pathlib import Path

from scripts.lab.errors import LabError

ANSWER_TIMEOUT_S = 30.0
# What QEMU says when the guest asked for a reset, was reset, or ended; and when its watchdog bit.
RESET_EVENTS = frozenset({"RESET", "SHUTDOWN"})


class Qmp:
    """One connection, from the greeting to `close`."""

    def __init__(self, path: Path, connect_timeout_s: float) -> None:
        self._socket = _connect(path, connect_timeout_s)
        self._stream = self._socket.makefile("rw", encoding="utf-8")
        self._answers: queue.Queue[dict[str, object]] = queue.Queue()
        self._events: list[dict[str, object]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.command("qmp_capabilities")

    def command(self, name: str, /, **arguments: object) -> object:
        """Carry out one command and return its result. Raises LabError."""
        try:
            self._stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
            self._stream.flush()
            answer = self._answers.get(timeout=ANSWER_TIMEOUT_S)
        except (OSError, ValueError, queue.Empty) as error:
            raise LabError(f"QEMU does not answer {name} on its control socket: {error!r}") from error
        if "error" in answer:
            raise LabError(f"QEMU refuses {name}: {answer['error']}")
        return answer.get("return")

    def events(self) -> list[dict[str, object]]:
        """Every event so far, oldest first; each has `event`, `timestamp` and perhaps `data`."""
        return list(self._events)

    def names(self) -> list[str]:
        """The names of all events so far."""
        return [str(event["event"]) for event in self.events()]

    def close(self) -> None:
        """Hang up. Nothing is raised if QEMU is gone already."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(ANSWER_TIMEOUT_S)
        with contextlib.suppress(OSError):
            self._stream.close()
        self._socket.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in self._stream:
                message = json.loads(line)
                if "event" in message:
                    self._events.append(message)
                elif "QMP" not in message:
                    self._answers.put(message)


def _connect(path: Path, timeout_s: float) -> socket.socket:
    deadline_s = time.monotonic() + timeout_s
    while True:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            client.connect(str(path))
        except OSError as error:
            client.close()
            if time.monotonic() > deadline_s:
                raise LabError(f"QEMU did not open its control socket {path} in {timeout_s:.0f} s: {error}") from error
            time.sleep(0.02)
        else:
            return client
