"""One replay in QEMU, in a network of its own: python -m scripts.replaying.qemu_cell FOLDER. Called by qemu.py.

The recorded servers listen on their own addresses and ports; the board finds them through QEMU's user-mode network.
"""

import pickle
import re
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bootpilot_agent.recording_lines import KexecLine
from bootpilot_agent.run import run
from scripts.lab.stages import ConsoleLine
from scripts.lab.verdict import JUMP, USER_SPACE, Lost, judge, read_verdict
from scripts.lab.vm import RunningGuest, start_guest
from scripts.replaying.overlay import overlay_of
from scripts.replaying.performed import Performed, told_to
from scripts.replaying.qemu import CERTIFICATES, JOB, RESULT, Job, ends_with_jump
from scripts.replaying.qemu_lan import LOOPBACK, listening_address, origins_of, place_of
from scripts.replaying.replay_server import ReplayServer
from scripts.replaying.rows import is_compared, row_of_exchange, used_way
from scripts.replaying.script import Script
from scripts.replaying.stand_ins import files_of
from scripts.replaying.tape import Ending, Kind

IP_S = 20.0
TICK_S = 0.1
# After the last thing that is waited for: what belongs to it comes at once, or never.
GRACE_S = 3.0
# A payload that is not the stand-in may have no way to say that it is up.
PAYLOAD_S = 90.0
LOADING = re.compile(r"kexec: loading, with the command line: (.*)$")
NEXT_LINE = re.compile(r"Kernel command line: (.*)$")
TOLD_ALL = "everything that was recorded has been asked"
UP = "the next kernel's own program says that it runs"
NEXT_RUNS = "the next kernel's first program runs"


def main() -> int:
    """The exit code: 0 with what was performed in a file, whatever it is."""
    folder = Path(sys.argv[1])
    job: Job = pickle.loads((folder / JOB).read_bytes())  # noqa: S301 # qemu.py has just written it
    performed, is_lost = Cell(job, folder).play()
    if is_lost:
        performed, _ = Cell(job, folder).play()
    (folder / RESULT).write_bytes(pickle.dumps(performed))
    return 0


@dataclass
class Cell:
    """One run of one job."""

    job: Job
    folder: Path
    lines: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.script = Script(self.job.tape, self.job.stand_ins, overlay_of(self.job.fault))

    def play(self) -> tuple[Performed, bool]:
        """What the board did, and whether QEMU lost its kernel on the way. Raises LabError, CommandError, ReplayError."""
        with ExitStack() as stack:
            for server in self._servers():
                stack.enter_context(server.server)
            running = stack.enter_context(start_guest(self.job.guest, self._hear))
            how = self._watch(running)
            outcome = judge(self._channel(), "\n".join(self.lines), how)
        return self._performed(how), isinstance(outcome, Lost)

    def _servers(self) -> Iterator[ReplayServer]:
        """One for each place that was asked."""
        run(["ip", "link", "set", "lo", "up"], timeout_s=IP_S)
        for origin, interface in origins_of(self.job.tape).items():
            place = place_of(origin)
            address = listening_address(place.host, self.job.plan.cables)
            if address != LOOPBACK:
                run(["ip", "addr", "replace", f"{address}/32", "dev", "lo"], timeout_s=IP_S)
            tls = self._tls(place.host) if place.is_https else None
            yield ReplayServer(self.script, origin, address, place.port, interface, tls, lock=self.lock)

    def _tls(self, host: str) -> ssl.SSLContext:
        context, folder = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self.folder / CERTIFICATES
        context.load_cert_chain(folder / f"{host}.pem", folder / f"{host}.key")
        return context

    def _hear(self, line: ConsoleLine) -> None:
        self.lines.append(line.text)

    def _watch(self, running: RunningGuest) -> str:
        """Until something has come of it; how it ended."""
        goal, jumped_s = ends_with_jump(self.job.tape), 0.0
        while running.elapsed_s() < self.job.deadline_s:
            if goal and read_verdict(self._channel()):
                return UP
            jumped_s = jumped_s or (running.elapsed_s() if goal and self._runs_next() else 0.0)
            if jumped_s and not self._is_stand_in() and running.elapsed_s() > jumped_s + PAYLOAD_S:
                return NEXT_RUNS
            with self.lock:
                left_tape, told_all = self.script.has_left_the_tape(), not goal and self._told_all()
            if left_tape or told_all:
                time.sleep(GRACE_S)
                return TOLD_ALL if told_all else "the replayed boot has left the recorded one's way"
            if not running.is_running():
                return "the machine ended"
            time.sleep(TICK_S)
        return f"{self.job.deadline_s:.0f} s passed"

    def _told_all(self) -> bool:
        """Has everything been asked that is compared? After a failure the recording comes last."""
        tape, used = self.job.tape, used_way(self.job.tape)
        rows = [row_of_exchange(one) for one in self.script.left]
        if any(is_compared(row) and (row[0] != Kind.HELLO or row == used) for row in rows):
            return False
        if tape.until:
            wanted = {event.name for event in tape.events}
            return wanted <= {event.name for event in told_to(self.script)} or tape.until in ("find_server", "ask_plan")
        return tape.ending is Ending.OPEN or any(met.asked.kind is Kind.RECORDING for met in self.script.met)

    def _performed(self, how: str) -> Performed:
        with self.lock:
            return Performed(
                met=tuple(self.script.met),
                left=tuple(self.script.left),
                events=tuple(told_to(self.script)),
                kexecs=tuple(self._loads()),
                how=how,
                jumped=how in (UP, NEXT_RUNS),
                console="\n".join(self.lines),
                blind=self.job.plan.blind,
                loose=True,
                notes=tuple(self._notes(how)),
            )

    def _loads(self) -> Iterator[KexecLine]:
        """As the agent said on the console; the last one as the next kernel itself says, if it got so far."""
        digests = self._fetched()
        said = [found[1] for line in self.lines if (found := LOADING.search(line))]
        after = next((number for number, line in enumerate(self.lines) if JUMP.search(line)), None)
        rest = self.lines[after + 1 :] if after is not None else []
        own = next((found[1].strip() for line in rest if (found := NEXT_LINE.search(line))), None)
        for number, command_line in enumerate(said, start=1):
            yield KexecLine("load", own if own is not None and number == len(said) else command_line, digests)

    def _fetched(self) -> dict[str, str]:
        """The files that were asked for, as kexec's digests are named."""
        asked = {met.url for met in self.script.met if met.asked.kind is Kind.ARTIFACT}
        named = [one for exchange in self.job.tape.plans for one in files_of(exchange) if one.role != "file"]
        return {one.role: one.sha256 for one in named if asked.intersection(one.urls)}

    def _notes(self, how: str) -> Iterator[str]:
        verdict = read_verdict(self._channel())
        if verdict is not None:
            same = self.script.aliases.back(verdict.boot_id) == self.job.tape.header.boot_id
            whose = "of this boot" if same else f"of another boot ({verdict.boot_id})"
            kernel = "the stand-in" if self._is_stand_in() else "the recorded payload"
            yield f"after the jump {kernel} ran: kernel {verdict.kernel} on {verdict.cpus} CPUs, {whose}"

    def _runs_next(self) -> bool:
        """Does the next kernel's first program run, by the console?"""
        jump = next((number for number, line in enumerate(self.lines) if JUMP.search(line)), None)
        return jump is not None and any(re.search(USER_SPACE, line) for line in self.lines[jump:])

    def _is_stand_in(self) -> bool:
        return any(one.role == "kernel" and not one.real for one in self.job.stand_ins)

    def _channel(self) -> str:
        try:
            return self.job.guest.verdict_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""


if __name__ == "__main__":
    sys.exit(main())
