"""The server's secret: HOME/secret.key, or the file that BOOTPILOT_SECRET_FILE names. Touches only that file."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from bootpilot_server.artifacts.durable import sync_folder
from bootpilot_server.errors import HomeError

KEY_BYTES = 32


def load_secret_key(own: Path, shared: Path | None) -> bytes:
    """The shared key if one is named, else HOME's own, made at first start. Raises HomeError."""
    if shared is not None:
        return _read(shared)
    if not own.exists():
        _create(own)
    return _read(own)


def _create(path: Path) -> None:
    """Write a new key under another name, then link it into place: of several servers that start at once, one wins."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)
        sync_folder(path.parent)
    except FileExistsError:
        return
    except OSError as error:
        raise HomeError(f"{path}: cannot be made: {error.strerror}", "the server's folder must be writable") from error
    finally:
        with suppress(OSError):
            draft.unlink()


def _read(path: Path) -> bytes:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        key = path.read_bytes().strip()
    except OSError as error:
        raise HomeError(f"{path}: {error.strerror}", "the server needs its secret key to know its own tokens") from error
    if mode & 0o077:
        raise HomeError(f"{path}: mode {mode:04o} lets others read the key", f"chmod 600 {path}")
    if len(key) < KEY_BYTES:
        raise HomeError(f"{path}: {len(key)} bytes, expected at least {KEY_BYTES}", "openssl rand -hex 32 makes a good one")
    return key
