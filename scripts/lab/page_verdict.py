"""The verdict of boards that have no virtio: the payload's own /status.json, fetched through QEMU's user-mode network.

Nobody but the second kernel's user space serves port 80, and what it serves there names the boot, so the page is the same
word of its own as the line on a virtio-serial port. It is written to the same file, and judged in the same place.
"""

import contextlib
import http.client
import json
import threading
from pathlib import Path

from scripts.lab.boot_server import fetch

ASK_EVERY_S = 1.0
# Until the guest's network is up, QEMU holds a connection that it has accepted for it.
ASK_TIMEOUT_S = 10.0
END_TIMEOUT_S = 2 * ASK_TIMEOUT_S


class PageVerdict:
    """Asks for the page at `port` until it is there or `stop`, and then writes one verdict line to `path`."""

    def __init__(self, port: int, path: Path) -> None:
        self._port, self._path = port, path
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join(END_TIMEOUT_S)

    def _watch(self) -> None:
        while not self._done.wait(ASK_EVERY_S):
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                status = json.loads(fetch(self._port, "/status.json", ASK_TIMEOUT_S))
                # The page is served a moment before the payload knows its own address.
                if status["address"]:
                    self._path.write_text(json.dumps({"verdict": "payload-up", **status}) + "\n")
                    return
