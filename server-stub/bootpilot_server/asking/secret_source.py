"""The secrets of HOME/secrets.toml, read when a template wants them and kept in memory for a while. Never in any transaction.

Of many boards that want the same secret at once one waits for it; the others are told to come back, so that a slow command
never takes the threads that other boards need.
"""

import logging
import os
import stat
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from bootpilot_server.asking.secret_reading import read_secret
from bootpilot_server.asking.secret_references import SecretReference, read_references
from bootpilot_server.deciding.secret_values import Secrets, SecretValue
from bootpilot_server.errors import OperatorError, ProblemError

log = logging.getLogger(__name__)

# A secret that could not be had is asked for again after this long, and not by each of a thousand boards.
FAILURE_KEPT_S = 10.0
BUSY_WAIT_S = 2.0
BUSY_RETRY_AFTER_S = 5


class SecretSource:
    """All secrets of one server process."""

    def __init__(self, home: Path) -> None:
        self._path = home / "secrets.toml"
        self._home = home
        self._stamp: tuple[int, ...] | None = None
        self._references: Mapping[str, SecretReference] = {}
        self._fault = ""
        self._kept: dict[str, tuple[float, SecretValue]] = {}
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}

    def references(self) -> Mapping[str, SecretReference]:
        """What is declared at the moment. Raises OperatorError if secrets.toml cannot be used."""
        with self._lock:
            self._look()
            if self._fault:
                raise OperatorError(self._fault)
            return self._references

    def at_hand(self) -> Secrets:
        """What is declared, with the values that are kept and not too old."""
        with self._lock:
            self._look()
            now_s = time.monotonic()
            known = {name: value for name, (until_s, value) in self._kept.items() if now_s < until_s}
            return Secrets(frozenset(self._references), known, self._fault)

    def fetch(self, names: Iterable[str]) -> dict[str, SecretValue]:
        """Values of the declared ones among these. Raises ProblemError 503 while another board waits for the same."""
        references = self.at_hand().declared & frozenset(names)
        return {name: self._fetch(name) for name in sorted(references)}

    def _fetch(self, name: str) -> SecretValue:
        with self._lock:
            turn = self._turns.setdefault(name, threading.Lock())
        if not turn.acquire(timeout=BUSY_WAIT_S):
            raise ProblemError(503, f"secret {name} is being read; ask again", retry_after_s=BUSY_RETRY_AFTER_S)
        try:
            if kept := self.at_hand().known.get(name):
                return kept
            with self._lock:
                reference = self._references.get(name)
            if reference is None:
                return SecretValue(failure=f"secret {name} is not declared in secrets.toml")
            value = read_secret(reference)
            if value.failure:
                log.warning("%s", value.failure)
            with self._lock:
                if self._references.get(name) == reference:
                    keep_s = FAILURE_KEPT_S if value.failure else reference.keep_s
                    self._kept[name] = (time.monotonic() + keep_s, value)
            return value
        finally:
            turn.release()

    def _look(self) -> None:
        """Read secrets.toml if it is another one than before; with the lock."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._references, self._fault, self._kept = None, {}, "", {}
            return
        except OSError as error:
            self._stamp, self._references, self._fault = None, {}, f"secrets.toml: {error.strerror}"
            return
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if stamp == self._stamp:
            return
        self._stamp, self._references, self._fault, self._kept = stamp, {}, "", {}
        try:
            _refuse_strangers(status)
            self._references = read_references(self._path.read_text("utf-8"), self._home)
        except (OSError, UnicodeDecodeError) as error:
            self._fault = f"secrets.toml: cannot be read: {type(error).__name__}"
        except OperatorError as error:
            self._fault = error.message


def _refuse_strangers(status: os.stat_result) -> None:
    """Who may write this file may run commands as the server."""
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OperatorError(f"secrets.toml: mode {stat.S_IMODE(status.st_mode):04o} lets others write it", "chmod go-w")
