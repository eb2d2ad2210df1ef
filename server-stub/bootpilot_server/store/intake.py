"""How many bytes of events came in since the last look, so that nobody fills the disk between two of them."""

import threading

# Of the bound on all events, this part may come in before somebody looks.
PART = 64


class Intake:
    """For one process. `most_bytes` is the bound on all events, 0 if there is none."""

    def __init__(self, most_bytes: int) -> None:
        self._enough = most_bytes // PART
        self._count = 0
        self._lock = threading.Lock()
        self._is_much = threading.Event()

    def add(self, count: int) -> None:
        """So many bytes were stored."""
        with self._lock:
            self._count += count
            if self._enough and self._count >= self._enough:
                self._is_much.set()

    def wait_until_much(self, timeout_s: float) -> bool:
        """False after that time. True only once for what came in until then."""
        is_much = self._is_much.wait(timeout_s)
        with self._lock:
            if is_much:
                self._count = 0
                self._is_much.clear()
        return is_much
