"""One busybox udhcpc per interface, for ever, and the folder in which its hook leaves what it heard.

Owns the processes and the folder. Sets no address: the agent does, from what `dhcp.py` found sane.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from bootpilot_agent import addresses
from bootpilot_agent.run import Process, spawn
from bootpilot_agent.taps import tap

HOOK = Path("/usr/lib/bootpilot/udhcpc")
PAUSE_S = 5
# Asked for beside busybox's own list: 26 MTU; and, where nothing else names a boot server, 66 and 67 boot server and file, 224
# the boot server's URL.
EXTRA_OPTIONS = ("mtu",)
SERVER_OPTIONS = ("tftp", "bootfile", "224")
MAX_EVENT_BYTES = 65 * 1024
RESTART_S = 5.0


@dataclass(frozen=True)
class Manner:
    """How udhcpc asks: so often, with so many seconds between; and after how many seconds without a lease in another manner."""

    tries: int
    between_s: int
    lasts_s: float


# RFC 2131 waits 4 s and more between tries; a link that has just come up loses the first packets, so they come 2 s apart.
# udhcpc draws a new xid for each round, and takes no answer to an older one: a round of 36 s hears one that is 30 s late.
# Whatever -t says it asks three times for the confirmation of what it has taken (busybox's udhcp/dhcpc.c, REQUESTING), so only
# long waits hear one that is late too: a round of 36 s and then 36 s for the confirmation.
MANNERS = (
    Manner(tries=18, between_s=2, lasts_s=18 * 2 + PAUSE_S),
    Manner(tries=3, between_s=12, lasts_s=3 * 12 + 4 * 12 + PAUSE_S),
)


def udhcpc_argv(interface: str, hook: Path, client_id: bytes, vendor_class: str, ask_server: bool, manner: Manner) -> list[str]:
    """The whole command line of the client. -C: our own client-id instead of one made from the MAC."""
    options = (*EXTRA_OPTIONS, *(SERVER_OPTIONS if ask_server else ()))
    return [
        "udhcpc", "-f", "-i", interface, "-s", str(hook),
        "-t", str(manner.tries), "-T", str(manner.between_s), "-A", str(PAUSE_S),
        *(word for option in options for word in ("-O", option)),
        "-V", vendor_class,
        "-C", "-x", f"0x3d:{client_id.hex()}",
        "-x", f"0x4d:{addresses.user_class().hex()}",
    ]  # fmt: skip


class EventFolder:
    """The hook's side of the agent: one file per interface with its last event, and a FIFO that wakes the agent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        wake = path / "wake"
        if not wake.is_fifo():
            os.mkfifo(wake, 0o600)
        # Opened for writing too: otherwise it would be at its end, and readable, whenever no hook has it open.
        self._wake = os.open(wake, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Readable when a hook has run."""
        return self._wake

    def drain(self) -> None:
        """Forget the wake-up calls so far."""
        try:
            while os.read(self._wake, 4096):
                pass
        except BlockingIOError:
            return

    def take(self, interface: str, file: str = "") -> bytes | None:
        """The last event of an interface, once; None if there is none new. `file`: what `leave` was told, else the hook's."""
        # Moved away first: a hook may put the next event there while this one is read.
        file = file or interface
        taken = self.path / f"{file}.taken"
        try:
            (self.path / file).rename(taken)
            with taken.open("rb") as stream:
                dump = stream.read(MAX_EVENT_BYTES)
        except FileNotFoundError:
            return None
        tap().took_dhcp(interface, dump)
        return dump

    def leave(self, file: str, dump: bytes) -> None:
        """What a thread of the agent has heard, as the hook leaves it. Raises OSError."""
        new = self.path / f"{file}.new"
        new.write_bytes(dump)
        new.rename(self.path / file)
        # Full of wake-up calls: it wakes anyway.
        with suppress(BlockingIOError):
            os.write(self._wake, b"x")

    def close(self) -> None:
        os.close(self._wake)


class DhcpClient:
    """udhcpc on one interface. It asks for ever, in each manner in turn; if it dies it is started again, not at once."""

    def __init__(self, argv: Callable[[Manner], Sequence[str]], events: EventFolder) -> None:
        self._argv = argv
        self._manners = cycle(MANNERS)
        self._manner = next(self._manners)
        self._events = events
        self._process: Process | None = None
        self._started_s = -RESTART_S

    def keep_running(self, *, has_lease: bool = False) -> None:
        """Start it if it does not run and was not started just now; without a lease, in the other manner when it is time.

        Raises CommandError.
        """
        asked_s = time.monotonic() - self._started_s
        if self._runs() and not has_lease and asked_s >= self._manner.lasts_s:
            self._manner = next(self._manners)
            self.kill()
            self._start()
        elif not self._runs() and asked_s >= RESTART_S:
            self._start()

    def _runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _start(self) -> None:
        self._started_s = time.monotonic()
        self._process = spawn(self._argv(self._manner), extra={"BOOTPILOT_DHCP_DIR": str(self._events.path)})

    def ask_now(self, has_lease: bool) -> None:
        """The cable has just been plugged in: confirm the lease or ask for one without waiting for the end of a pause.

        SIGUSR1 renews; a udhcpc that has no lease yet ignores it, so that one is started anew. Raises CommandError.
        """
        if has_lease and self._process is not None and self._runs():
            self._process.send_signal(signal.SIGUSR1)
        else:
            self.kill()
            self._start()

    def kill(self) -> None:
        """End it without a word to the DHCP server, so that the lease goes on for the payload."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None
