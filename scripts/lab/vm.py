"""Runs one QEMU: its console, its verdict channel, its control socket, an overall deadline. Always reaps what it started.

The only module of the harness that starts QEMU for a boot. It decides nothing: verdict.py judges.
"""

import contextlib
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from scripts.lab.disk_caches import DiskCaches, disk_caches
from scripts.lab.errors import LabError
from scripts.lab.guest import Guest
from scripts.lab.machine import VerdictBy
from scripts.lab.page_verdict import PageVerdict
from scripts.lab.qemu_argv import qemu_argv
from scripts.lab.qmp import RESET_EVENTS, Qmp
from scripts.lab.stages import ConsoleLine
from scripts.lab.verdict import DOUBLE_FAULT, Outcome, judge

START_TIMEOUT_S = 30.0
END_TIMEOUT_S = 10.0
# An early double fault halts without a reset: nothing more will come once its message is out.
HALT_GRACE_S = 3.0
POLL_S = 0.05
# A harness that is killed outright ends nothing itself, and a guest in its firmware's prompt would run for days.
WITH_US = ("setpriv", "--pdeathsig", "TERM", "--")
# A guest can write to its console for ever.
MAX_CONSOLE_LINES = 200_000


class RunningGuest:
    """A QEMU that runs. Made by `start_guest` only."""

    def __init__(
        self,
        guest: Guest,
        process: subprocess.Popen[bytes],
        caches: DiskCaches,
        on_line: Callable[[ConsoleLine], None] | None,
    ) -> None:
        self.guest = guest
        self.lines: list[ConsoleLine] = []
        self.started_s = time.monotonic()
        self._process = process
        self._caches = caches
        self._is_cut = False
        self._on_line = on_line
        self._double_fault_s = 0.0
        self._reader = threading.Thread(target=self._read_console, daemon=True)
        self._reader.start()
        self._page = self._page_verdict()
        self.qmp = self._control()

    def console(self) -> str:
        """Everything on the serial console so far."""
        return "\n".join(line.text for line in list(self.lines))

    def elapsed_s(self) -> float:
        """Seconds since QEMU's start."""
        return time.monotonic() - self.started_s

    def type(self, text: str) -> None:
        """Type at the serial console."""
        if self._process.stdin:
            self._process.stdin.write(text.encode())
            self._process.stdin.flush()

    def outcome(self, deadline_s: float) -> Outcome:
        """Wait for the verdict until `deadline_s` seconds after QEMU's start; what ends the wait earlier is judged as well."""
        while not (ended := self._why_ended(deadline_s)) and "\n" not in self._channel():
            time.sleep(POLL_S)
        return judge(self._channel(), self.console(), ended)

    def wait_for_line(self, pattern: str, deadline_s: float, *, after: int = 0) -> ConsoleLine:
        """The first console line from index `after` on that matches. Raises LabError at the deadline or when QEMU ends."""
        wanted = re.compile(pattern)
        seen = after
        while True:
            ended = self._why_ended(deadline_s)
            for line in self.lines[seen:]:
                seen += 1
                if wanted.search(line.text):
                    return line
            if ended:
                raise LabError(f"nothing like {pattern!r} on the console: {ended}; its end:\n" + self.console()[-4000:])
            time.sleep(POLL_S)

    def wait_until(self, condition: Callable[[], bool], deadline_s: float, what: str) -> None:
        """Until the condition holds. Raises LabError at the deadline or when the board ends before; `what` names it there."""
        while not condition():
            # What happened while QEMU ended counts: so the condition is asked once more.
            if (ended := self._why_ended(deadline_s)) and not condition():
                raise LabError(f"{what}: {ended}; the console's end:\n" + self.console()[-6000:])
            time.sleep(POLL_S)

    def wait_for_event(self, name: str, deadline_s: float) -> dict[str, object]:
        """The first QMP event of that name. Raises LabError at the deadline, with the console's end."""
        while True:
            ended = self.elapsed_s() > deadline_s or self._process.poll() is not None
            for event in self.qmp.events():
                if event["event"] == name:
                    return event
            if ended:
                raise LabError(
                    f"QEMU did not report {name} in {deadline_s:.0f} s; the console's end:\n" + self.console()[-4000:]
                )
            time.sleep(POLL_S)

    def is_running(self) -> bool:
        return self._process.poll() is None

    def cut_power(self) -> None:
        """Switch the board off as a fuse does: QEMU is killed where it stands, and the disks' volatile caches with it."""
        self._is_cut = True
        self._caches.lose()
        self._process.kill()
        self._process.wait()

    def is_cut(self) -> bool:
        """Whether `cut_power` has ended it."""
        return self._is_cut and not self.is_running()

    def stop(self) -> None:
        """End QEMU and reap it, whatever state it is in."""
        self.qmp.close()
        _end(self._process)
        if self._page:
            self._page.stop()
        self._reader.join(END_TIMEOUT_S)
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()

    def _why_ended(self, deadline_s: float) -> str:
        status = self._process.poll()
        if status is not None:
            self._reader.join(END_TIMEOUT_S)
            return f"QEMU ended with status {status} after {self.elapsed_s():.0f} s ({self._last_events()}){self._errors()}"
        if self.guest.stop_at_reset and RESET_EVENTS.intersection(self.qmp.names()):
            return f"the machine was reset or switched off after {self.elapsed_s():.0f} s ({self._last_events()})"
        if self._double_fault_s and self.elapsed_s() > self._double_fault_s + HALT_GRACE_S:
            return f"a kernel stopped after {self._double_fault_s:.0f} s"
        if self.elapsed_s() > deadline_s:
            return f"deadline of {deadline_s:.0f} s passed"
        return ""

    def _last_events(self) -> str:
        return ", ".join(f"{event['event']} {event.get('data', '')}".strip() for event in self.qmp.events()[-3:]) or "no event"

    def _errors(self) -> str:
        text = _error_path(self.guest).read_text(errors="replace").strip()
        return f"; QEMU says: {text[-1000:]}" if text else ""

    def _channel(self) -> str:
        try:
            return self.guest.verdict_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def _page_verdict(self) -> PageVerdict | None:
        if self.guest.machine.verdict is VerdictBy.PAGE and self.guest.page_port:
            return PageVerdict(self.guest.page_port, self.guest.verdict_path)
        return None

    def _control(self) -> Qmp:
        try:
            return Qmp(self.guest.control_path, START_TIMEOUT_S)
        except LabError as error:
            _end(self._process)
            if self._page:
                self._page.stop()
            raise LabError(
                f"{error.message}{self._errors()}", "is this QEMU new enough, and is there enough memory?"
            ) from error

    def _read_console(self) -> None:
        for text in _lines(self._process.stdout) if self._process.stdout else ():
            line = ConsoleLine(self.elapsed_s(), text)
            if DOUBLE_FAULT.search(text):
                self._double_fault_s = line.at_s
            if len(self.lines) < MAX_CONSOLE_LINES:
                self.lines.append(line)
            if self._on_line:
                self._on_line(line)


def _lines(stream: IO[bytes]) -> Iterator[str]:
    # Serial consoles end lines with CR LF or LF CR, and U-Boot's menus move the cursor: keep what can be read.
    with contextlib.suppress(ValueError):
        for raw in stream:
            yield re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\x00]", "", raw.decode(errors="replace")).rstrip("\n")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _error_path(guest: Guest) -> Path:
    return guest.folder / "qemu-errors.txt"


@contextmanager
def start_guest(guest: Guest, on_line: Callable[[ConsoleLine], None] | None = None) -> Iterator[RunningGuest]:
    """Start QEMU, and end it when the block ends. `on_line` is called in the console's thread. Raises LabError."""
    guest.verdict_path.unlink(missing_ok=True)
    with disk_caches(guest.disks) as caches:
        running = RunningGuest(guest, _started(guest), caches, on_line)
        try:
            yield running
        finally:
            running.stop()


def _started(guest: Guest) -> subprocess.Popen[bytes]:
    with _error_path(guest).open("wb") as errors:
        try:
            return subprocess.Popen(
                [*WITH_US, *qemu_argv(guest)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        except OSError as error:
            raise LabError(
                f"{guest.machine.qemu} cannot be started: {error}", "install the packages of scripts/packages.txt"
            ) from error
