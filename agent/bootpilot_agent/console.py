"""What a person at the serial port reads, and the bounded record of it that goes to the server. Owns standard output only.

Lines carry the seconds since the kernel started, because boards have no date. No carriage returns and no colours: serial
logs keep every byte.
"""

import sys
import threading
import time
from typing import TextIO

from bootpilot_agent.taps import tap

TRANSCRIPT_BYTES = 4 << 20
CUT_MARK = b"[... the oldest lines were dropped ...]\n"
PROGRESS_EVERY_S = 5.0
MEBIBYTE = 1 << 20


class Console:
    """Prints lines and keeps them. Safe to use from several threads; a dead terminal never stops the boot."""

    def __init__(self, stream: TextIO | None = None, limit_bytes: int = TRANSCRIPT_BYTES) -> None:
        self._stream = stream
        self._limit_bytes = limit_bytes
        self._kept = bytearray()
        self._cut = False
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        """One or more lines; what is not printable is shown escaped, so that no foreign string steers the terminal."""
        tap().said(text)
        stamp = f"[{time.monotonic():8.2f}] "
        for number, line in enumerate(text.splitlines() or [""]):
            self._write((stamp if number == 0 else " " * len(stamp)) + printable(line))

    def banner(self, title: str, *lines: str) -> None:
        """A heading between rules, with lines below it."""
        rule = "=" * 72
        for line in (rule, title, *lines, rule):
            self._write(printable(line))

    def transcript(self) -> bytes:
        """Everything said so far, at most `limit_bytes`; a mark stands where older lines were dropped."""
        with self._lock:
            return (CUT_MARK if self._cut else b"") + bytes(self._kept)

    def _write(self, line: str) -> None:
        with self._lock:
            self._kept += line.encode() + b"\n"
            self._trim()
            try:
                stream = self._stream or sys.stdout
                encoding = stream.encoding or "ascii"
                print(line.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
            except (OSError, ValueError):  # a serial console may be gone or hung up (EIO)
                return

    def _trim(self) -> None:
        # Dropping a tenth at once keeps the cost of a long log linear.
        room = self._limit_bytes - len(CUT_MARK)
        if len(self._kept) > room:
            cut = self._kept.find(b"\n", len(self._kept) - room + room // 10)
            del self._kept[: cut + 1 if cut >= 0 else len(self._kept)]
            self._cut = True


def ignore_stop_characters(descriptor: int) -> None:
    """Ctrl-S, or the noise of an open receive line, would stop the output, and with it the agent, for ever."""
    import termios

    try:
        attributes = termios.tcgetattr(descriptor)
        attributes[0] &= ~termios.IXON
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
    except (termios.error, OSError):  # no terminal
        return


def printable(text: str) -> str:
    """The text with control characters, line separators and direction marks escaped, and cut at 4000 characters."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:4000])


class Progress:
    """Tells how far a long transfer is: a new line every few seconds with amount, rate and time left."""

    def __init__(self, what: str, total_bytes: int, console: Console | None = None, every_s: float = PROGRESS_EVERY_S) -> None:
        self._what = what
        self._total_bytes = total_bytes
        self._console = console or CONSOLE
        self._every_s = every_s
        self._started_s = self._said_s = time.monotonic()
        self._first_bytes: int | None = None

    def update(self, done_bytes: int) -> None:
        """Call as often as you like; says something at most every few seconds."""
        now_s = time.monotonic()
        if self._first_bytes is None:
            self._first_bytes = done_bytes  # a resumed download did not transfer these in our time
        if now_s - self._said_s >= self._every_s:
            self._said_s = now_s
            self._console.say(progress_line(self._what, done_bytes, self._total_bytes, self._rate(done_bytes, now_s)))

    def finish(self, done_bytes: int) -> None:
        """The closing line: amount, time and mean rate."""
        now_s = time.monotonic()
        rate = self._rate(done_bytes, now_s)
        taken_s = now_s - self._started_s
        self._console.say(f"{self._what}: {_mebibytes(done_bytes)} in {taken_s:.1f} s ({_mebibytes(rate)}/s)")

    def _rate(self, done_bytes: int, now_s: float) -> float:
        return max(0, done_bytes - (self._first_bytes or 0)) / max(now_s - self._started_s, 0.001)


def progress_line(what: str, done_bytes: int, total_bytes: int, rate_bytes_per_s: float) -> str:
    """`kernel: 12.0 of 32.9 MiB (36 %), 4.0 MiB/s, 5 s left`."""
    share = f" ({done_bytes * 100 // total_bytes} %)" if total_bytes else ""
    left_s = (total_bytes - done_bytes) / rate_bytes_per_s if rate_bytes_per_s > 0 else None
    left = "stalled" if left_s is None else f"{format_seconds(left_s)} left"
    return f"{what}: {done_bytes / MEBIBYTE:.1f} of {_mebibytes(total_bytes)}{share}, {_mebibytes(rate_bytes_per_s)}/s, {left}"


def format_seconds(seconds: float) -> str:
    """`7 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = max(0, round(seconds))
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _mebibytes(size_bytes: float) -> str:
    return f"{size_bytes / MEBIBYTE:.1f} MiB"


# The one console of the process; tests make their own.
CONSOLE = Console()
say = CONSOLE.say
banner = CONSOLE.banner
transcript = CONSOLE.transcript
