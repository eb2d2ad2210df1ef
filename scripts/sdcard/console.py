"""What a person sees and answers while a card is written: a progress bar, a question."""

import sys
import time
from types import TracebackType
from typing import Self, TextIO

from scripts.sdcard.errors import CardError

WIDTH = 30
TERMINAL_PAUSE_S = 0.2
# In a log, a line now and then.
LOG_PAUSE_S = 5.0


class ProgressBar:
    """One line that is drawn anew on a terminal; in a log, a line every few seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._what = ""
        self._start_s = self._shown_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._terminal and self._what:
            print(file=self._stream)

    def show(self, what: str, done: int, total: int) -> None:
        """Show how far `what` is, in bytes."""
        now_s = time.monotonic()
        if what != self._what:
            if self._terminal and self._what:
                print(file=self._stream)
            self._what, self._start_s, self._shown_s = what, now_s, now_s
        pause_s = TERMINAL_PAUSE_S if self._terminal else LOG_PAUSE_S
        if now_s - self._shown_s >= pause_s or done == total:
            self._shown_s = now_s
            print(self._line(done, total, now_s), end="\r" if self._terminal else "\n", file=self._stream, flush=True)

    def _line(self, done: int, total: int, now_s: float) -> str:
        rate = done / max(now_s - self._start_s, 0.001)
        left_s = (total - done) / max(rate, 1)
        bar = "#" * (WIDTH * done // total)
        return f"{self._what:<13}[{bar:<{WIDTH}}] {100 * done // total:3d} %  {rate / 1e6:6.1f} MB/s  {left_s:4.0f} s left"


def confirm(question: str) -> bool:
    """Ask on the terminal. Raises CardError where nobody can answer."""
    if not sys.stdin.isatty():
        raise CardError("nobody is there to confirm", "--yes writes without a question")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
