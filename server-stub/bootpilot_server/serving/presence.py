"""Whether a server answers from a folder: while one does, it holds a lock on HOME/serve.lock. Touches only that file."""

import fcntl
import os
from pathlib import Path

from bootpilot_server.errors import HomeError

NAME = "serve.lock"


def hold(home: Path) -> int:
    """Said to be served until this descriptor, and every copy that a worker inherits, is closed. Raises HomeError."""
    try:
        descriptor = os.open(home / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HomeError(f"{home / NAME}: {error.strerror}", "the server's folder must be writable") from error
    # Shared: several servers may answer from one folder.
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def is_served(home: Path) -> bool:
    """Whether a server answers from this folder now."""
    try:
        descriptor = os.open(home / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
