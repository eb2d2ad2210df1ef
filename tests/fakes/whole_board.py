"""One board from power on to power on: the real agent, the real installer that its plan boots, and a disk that stays.

Both run in process, with the real programs of InstallingMachine; only kexec is played, and what it would have started is then
started here. Needs root.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import requests

from bootpilot_agent.boot_note import BOOT_JSON
from bootpilot_agent.install_order import ORDER_PATH
from bootpilot_agent.own_start import REPORT_JSON
from tests.fakes.board import Ended, Ending, FakeBoard, Loaded, RecordingRun
from tests.fakes.installing_machine import InstallingMachine, told
from tests.fakes.kernels import bzimage

TIMEOUT_S = 60
# What the agent says then.
WAITS = "asking again every"
# As InstallingMachine's board shows itself.
SERIAL = "SN-0042"


@dataclass
class WholeBoard:
    """Use `machine` within its own context: what it attaches is gone afterwards."""

    machine: InstallingMachine
    url: str
    consoles: list[str] = field(default_factory=list)
    loaded: Loaded | None = None

    def power_on(self, *, patient: bool = False) -> Ending:
        """The agent, until it leaves, is told to wait, or fails for the first time; `patient`: or tries again for as long as it
        takes.
        """
        folder = self.machine.folder
        board = FakeBoard(folder, servers=(self.url,), card_text=b"", shell=not patient)
        self.machine.run.kexec = RecordingRun()
        board.run = cast("RecordingRun", self.machine.run)
        board.network.on_poll = lambda: self._end_waiting(board)
        ending = board.boot()
        self.consoles.append(board.console)
        self.loaded = self.machine.run.kexec.loaded
        return ending

    def _end_waiting(self, board: FakeBoard) -> None:
        """A board that waits asks for ever."""
        if WAITS in board.console:
            raise Ended(WAITS)

    @property
    def note(self) -> dict[str, Any]:
        """boot.json of what was loaded last."""
        assert self.loaded is not None, self.consoles[-1]
        return self.loaded.note

    @property
    def is_installer(self) -> bool:
        assert self.loaded is not None, self.consoles[-1]
        return ORDER_PATH.lstrip("/").encode() + b"\0" in self.loaded.initrd

    def install(self, **changed: Any) -> str:
        """What the plan has loaded runs, with a note that may be `changed`. Returns how it ended."""
        order = json.loads(self.file(ORDER_PATH))
        self.machine.note = {**self.note, **changed}
        ending = self.machine.install(order)
        self.consoles.append(self.machine.console)
        self.loaded = self.machine.run.kexec.loaded
        (self.machine.root / BOOT_JSON).unlink()
        return ending

    def file(self, path: str) -> bytes:
        """One file of the agent's archive in the initrd (newc: a header of 110 bytes, name and content, each padded to 4)."""
        assert self.loaded is not None
        name = path.lstrip("/").encode() + b"\0"
        begin = self.loaded.initrd.rindex(name) - 110
        size = int(self.loaded.initrd[begin + 54 : begin + 62], 16)
        content = begin + 110 + len(name)
        content += -(110 + len(name)) % 4
        return self.loaded.initrd[content : content + size]

    def system_speaks(self, up_s: float = 1.0) -> requests.Response:
        """The installed system's unit: the report of a boot that no server knows of first, then that it is up."""
        return self.system_speaks_to(str(self.note["server"]), up_s)

    def system_speaks_to(self, server: str, up_s: float = 1.0) -> requests.Response:
        boot_id, token = self.note["boot_id"], self.note["token"]
        if REPORT_JSON.encode() + b"\0" in (self.loaded.initrd if self.loaded else b""):
            answer = requests.post(f"{server}/v1/boot", data=self.file(REPORT_JSON), timeout=TIMEOUT_S)
            assert answer.status_code == 200, answer.text
            boot_id, token = answer.json()["boot_id"], answer.json()["token"]
        event = {"source": "system", "seq": 1, "name": "payload-up", "at_ms": int(up_s * 1000), "data": {}}
        body = {"version": 1, "events": [event]}
        headers = {"Authorization": f"Bearer {token}"}
        return requests.post(f"{server}/v1/boots/{boot_id}/events", json=body, headers=headers, timeout=TIMEOUT_S)

    def say_done(self, install_id: str) -> int:
        """The status of one more call with the boot's token."""
        url = f"{self.note['server']}/v1/boots/{self.note['boot_id']}/done"
        headers = {"Authorization": f"Bearer {self.note['token']}"}
        return requests.post(url, json={"install_id": install_id}, headers=headers, timeout=TIMEOUT_S).status_code

    @contextmanager
    def disk_mounted(self, partition: str = "sda2") -> Iterator[Path]:
        """To be written to, as nobody does while the board is off."""
        point = self.machine.folder / "by-hand"
        point.mkdir(exist_ok=True)
        told("mount", str((self.machine.root / "dev" / partition).resolve()), str(point))
        try:
            yield point
        finally:
            told("umount", str(point))


KERNEL = bzimage()
