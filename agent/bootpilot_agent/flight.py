"""The flight recorder, as far as every boot has it: hears the doors, and keeps what they tell as it is, for later.

Most boots work, and nobody wants their recordings. So nothing is made of what was heard, and nothing is imported for that,
until a recording is to be sent, or so much was heard that it must be made smaller: then recorder.py takes over, which leaves
out what is secret. What is kept here leaves this program only through there. A fault ends the recording, never the boot.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bootpilot_agent.heard_exchange import HeardExchange
from bootpilot_agent.taps import Exchange, Request, Tap, stop_listening

if TYPE_CHECKING:
    from bootpilot_agent.fields import Json
    from bootpilot_agent.recorder import Recorder

# An ordinary boot tells some hundreds of words and 100 kB. With more, the recorder takes over, and more may come meanwhile.
FOLD_WORDS, MOST_WORDS = 4000, 8000
FOLD_BYTES, MOST_BYTES = 1 << 20, 2 << 20
FOLDED_AT_ONCE = 50
# Names of files on the whole board, and how often one that keeps changing (meminfo, carrier) is told again.
MOST_PLACES = 20_000
MOST_CHANGES = 16
# Of one file; what is longer is no attribute.
MAX_FILE_BYTES = 256 * 1024
# A clock that runs as fast as the monotonic one tells nothing new.
CLOCK_DRIFT_S = 2.0
# What nobody had to read so far, but a replay cannot do without.
ALWAYS = ("sys/firmware/fdt", "proc/version", "proc/iomem")


@dataclass(frozen=True)
class Agent:
    """Whose recording it is."""

    version: str
    build_id: str
    arch: str
    features: tuple[str, ...]


class Flight(Tap):
    """Everything since the agent started. May be called from any thread."""

    def __init__(self, agent: Agent, root: Path = Path("/"), say: Callable[[str], object] = lambda text: None) -> None:
        self.agent = agent
        # As the last plan named it; nothing is sent before there is one.
        self.boot_id = ""
        self._root = root
        self._prefix = f"{root}".rstrip("/") + "/"
        self._say = say
        self._lock = threading.Lock()
        self._folding = threading.Lock()
        self._words: list[tuple[int, str, tuple[object, ...]]] = []
        self._word_bytes = 0
        self._lost = 0
        self._recorder: Recorder | None = None
        self._seen: dict[tuple[str, str], tuple[int, int]] = {}
        self._clock_offset_s = float("-inf")

    def pack(self) -> bytes:
        """The recording as it is sent. Takes a while: call it where nobody waits."""
        for name in ALWAYS:
            self._read_always(name)
        recorder = self._fold()
        with self._lock:
            snapshot = recorder.copy()
        return snapshot.pack(self.boot_id, self.agent.version, self.agent.build_id, self.agent.arch, self.agent.features)

    def fail(self, error: Exception) -> None:
        """No more of this."""
        stop_listening()
        self._say(f"recorder: {type(error).__name__}: {error}; nothing more of this boot is recorded")

    def tell(self, word: str, *args: object, size_bytes: int = 0, t_ms: int | None = None) -> None:
        """One word for the recorder, at a moment; now, if none is given."""
        try:
            with self._lock:
                full = self._keep(word, args, size_bytes, now_ms() if t_ms is None else t_ms)
            if full and not self._folding.locked():
                threading.Thread(target=self._fold_quietly, name="recorder", daemon=True).start()
        except Exception as error:
            self.fail(error)

    def _keep(self, word: str, args: tuple[object, ...], size_bytes: int, t_ms: int) -> bool:
        """True if it is time for the recorder."""
        if self._recorder is not None:
            self._recorder.take(t_ms, word, args)
            return False
        if len(self._words) >= MOST_WORDS or self._word_bytes >= MOST_BYTES:
            self._lost += 1
        else:
            self._words.append((t_ms, word, args))
            self._word_bytes += size_bytes
        return len(self._words) >= FOLD_WORDS or self._word_bytes >= FOLD_BYTES

    def _fold(self) -> "Recorder":
        """What was heard so far goes to the recorder, piece by piece, so that nobody has to wait who tells more meanwhile."""
        with self._folding:
            if self._recorder is not None:
                return self._recorder
            from bootpilot_agent.recorder import Recorder

            recorder = Recorder()
            while self._recorder is None:
                with self._lock:
                    for t_ms, word, args in self._words[:FOLDED_AT_ONCE]:
                        recorder.take(t_ms, word, args)
                    del self._words[:FOLDED_AT_ONCE]
                    if not self._words:
                        recorder.count_lost(self._lost)
                        self._recorder = recorder
            return recorder

    def _fold_quietly(self) -> None:
        try:
            self._fold()
        except Exception as error:
            self.fail(error)

    def _changed(self, kind: str, name: str, content: object) -> bool:
        """Is this the first reading, or another one than the last? Only so often, and of so many places."""
        digest, known = hash(content), self._seen.get((kind, name))
        if known is None and len(self._seen) < MOST_PLACES:
            self._seen[kind, name] = (digest, 0)
            return True
        if known is None or known[0] == digest or known[1] > MOST_CHANGES:
            return False
        self._seen[kind, name] = (digest, known[1] + 1)
        return known[1] < MOST_CHANGES

    def _below_root(self, path: Path) -> str:
        return str(path).removeprefix(self._prefix).removeprefix("/")

    def _read_always(self, name: str) -> None:
        try:
            with (self._root / name).open("rb") as file:
                if content := file.read(MAX_FILE_BYTES):
                    self.read(self._root / name, content)
        except OSError:
            return

    # What the doors tell.

    def read(self, path: Path, content: bytes) -> None:
        name = self._below_root(path)
        if self._changed("file", name, content):
            self.tell("read", name, content[:MAX_FILE_BYTES], size_bytes=len(content))

    def listed(self, folder: Path, names: Sequence[str]) -> None:
        name, found = self._below_root(folder), tuple(names)
        if self._changed("folder", name, found):
            self.tell("listed", name, found, size_bytes=20 * len(found))

    def followed(self, link: Path) -> None:
        name = self._below_root(link)
        if ("link", name) in self._seen:
            return
        try:
            target = str(link.readlink())
        except OSError:
            return
        if self._changed("link", name, target):
            self.tell("followed", name, target)

    def read_blocks(self, disk: str, offset: int, content: bytes) -> None:
        if self._changed("blocks", f"{disk} {offset}", content):
            self.tell("read_blocks", disk, offset, content[:MAX_FILE_BYTES], size_bytes=len(content))

    def heard_uevent(self, properties: Mapping[str, str]) -> None:
        self.tell("heard_uevent", dict(properties), size_bytes=500)

    def took_dhcp(self, interface: str, dump: bytes) -> None:
        self.tell("took_dhcp", interface, dump, size_bytes=len(dump))

    def ran(self, argv: Sequence[str], returncode: int | None, stdout: str, stderr: str) -> None:
        self.tell("ran", tuple(argv), returncode, stdout, stderr, size_bytes=len(stdout) + len(stderr))

    def read_clock(self, real_s: float, *, corrected: bool = False) -> None:
        offset_s = real_s - time.monotonic()
        # The same infinity twice is no drift.
        drifted = offset_s != self._clock_offset_s and abs(offset_s - self._clock_offset_s) > CLOCK_DRIFT_S
        if corrected or drifted:
            self._clock_offset_s = offset_s
            self.tell("read_clock", real_s, corrected)

    def asked(self, request: Request) -> Exchange:
        return HeardExchange(self.tell, now_ms, request)

    def added_event(self, name: str, data: "Mapping[str, Json]") -> None:
        self.tell("added_event", str(name), dict(data), size_bytes=200)

    def said(self, text: str) -> None:
        self.tell("said", text, size_bytes=len(text))

    def began(self, step: str) -> None:
        self.tell("began", step)

    def ended(self, step: str, ms: int, error: str, decided: str) -> None:
        self.tell("ended", step, ms, error, decided)

    def called_kexec(self, call: str, command_line: str, digests: Mapping[str, str]) -> None:
        self.tell("called_kexec", call, command_line, dict(digests))

    def learnt(self, secret: str) -> None:
        self.tell("learnt", secret)


def now_ms() -> int:
    """The board's monotonic clock."""
    return int(time.monotonic() * 1000)
