"""How much a recording may take in memory, and what goes first when it is full: one table. No I/O here.

Lines are kept as bytes, ready to be written. What was dropped is counted by kind, and the last line of the recording says so.
"""

from dataclasses import dataclass, field

# Before it is packed; design.md's limit of 1 MiB is for what is sent.
MAX_PLAIN_BYTES = 4 << 20
# What a kept line costs beside its bytes: an object, its number, their places in two lists.
LINE_COST_BYTES = 128
# Dropping a tenth at once keeps the cost of a long recording linear.
SHRINK_TO = 0.9


@dataclass(frozen=True)
class Keeping:
    """One kind: its `first` lines are kept longest, and of the others the newest. `lasts`: into the next boot of this agent."""

    kind: str
    first: int
    lasts: bool
    reason: str


# In the order in which they go. A replay needs the board and its requests; the rest explains them.
KEEPING = (
    Keeping("say", 100, False, "the log, which is sent too, has the same words"),
    Keeping("uevent", 100, True, "thousands of a hub that comes and goes tell no more than hundreds"),
    Keeping("run", 200, True, "what programs answered shows in what was said and done after it"),
    Keeping("step", 100, False, "those of a board that waits for months repeat themselves"),
    Keeping("clock", 20, True, "a clock that drifts is read with each connection"),
    Keeping("blocks", 500, True, "tables of many disks; the first reading is what the kernel still believes"),
    Keeping("file", 20_000, True, "the first reading of each file is the board itself"),
    Keeping("dhcp", 50, True, "a lease is renewed for as long as the board waits"),
    Keeping("event", 200, False, "few and small; the server has them"),
    Keeping("http", 50, False, "the requests are what a replay compares"),
    Keeping("kexec", 20, False, "what it all led to"),
)
LASTING = {row.kind: row.lasts for row in KEEPING}


@dataclass
class Dropped:
    """What had to go, of one kind."""

    lines: int = 0
    size_bytes: int = 0


@dataclass(frozen=True)
class KeptLine:
    """Its place in the order of all lines, and its text."""

    number: int
    text: bytes

    @property
    def cost_bytes(self) -> int:
        return len(self.text) + LINE_COST_BYTES


@dataclass
class Room:
    """The lines of one recording within `limit_bytes`, their own cost included. Used by one thread at a time."""

    limit_bytes: int = MAX_PLAIN_BYTES
    dropped: dict[str, Dropped] = field(default_factory=dict)
    _kept: dict[str, list[KeptLine]] = field(default_factory=lambda: {row.kind: [] for row in KEEPING})
    _taken_bytes: int = 0
    _count: int = 0

    def add(self, kind: str, text: bytes) -> None:
        """Keep this line, at the price of others."""
        line = KeptLine(self._count, text)
        self._count += 1
        self._kept[kind].append(line)
        self._taken_bytes += line.cost_bytes
        if self._taken_bytes > self.limit_bytes:
            self.shrink(int(self.limit_bytes * SHRINK_TO))

    def count_dropped(self, kind: str, size_bytes: int, lines: int = 1) -> None:
        """Something of this kind was not kept."""
        row = self.dropped.setdefault(kind, Dropped())
        row.lines += lines
        row.size_bytes += size_bytes

    def begin(self) -> None:
        """Another boot: only what the board is lasts."""
        for kind, lines in self._kept.items():
            if not LASTING[kind]:
                self._taken_bytes -= sum(line.cost_bytes for line in lines)
                lines.clear()
        self.dropped = {kind: row for kind, row in self.dropped.items() if LASTING.get(kind, False)}

    def lines(self) -> list[bytes]:
        """All that is kept, in the order in which it came."""
        return [line.text for line in sorted((line for lines in self._kept.values() for line in lines), key=_number)]

    def copy(self) -> "Room":
        """Another room with the same lines; what happens to one does not happen to the other."""
        dropped = {kind: Dropped(row.lines, row.size_bytes) for kind, row in self.dropped.items()}
        kept = {kind: list(lines) for kind, lines in self._kept.items()}
        return Room(self.limit_bytes, dropped, kept, self._taken_bytes, self._count)

    @property
    def taken_bytes(self) -> int:
        return self._taken_bytes

    def shrink(self, target_bytes: int) -> None:
        """Drop until no more is taken than this: at first all but the first lines of each kind, then these too."""
        for keep_first in (True, False):
            for row in KEEPING:
                if self._taken_bytes > target_bytes:
                    self._drop(row, row.first if keep_first else 0, target_bytes)

    def _drop(self, row: Keeping, first: int, target_bytes: int) -> None:
        lines, end, size_bytes = self._kept[row.kind], first, 0
        while end < len(lines) and self._taken_bytes > target_bytes:
            self._taken_bytes -= lines[end].cost_bytes
            size_bytes += len(lines[end].text)
            end += 1
        if end > first:
            self.count_dropped(row.kind, size_bytes, end - first)
            del lines[first:end]


def _number(line: KeptLine) -> int:
    return line.number
