"""The folder for everything that is dear to make: packages, unpacked roots, frozen agents, finished loaders.

Each thing lies in `<kind>/<key>`, where the key is a hash of all that went into it, so nothing in here is ever stale; the
whole folder may be deleted at any time. What nobody used for weeks goes when something new of its kind is made.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

KEY_DIGITS = 16
UNUSED_AFTER_S = 21 * 86400.0
CHUNK_BYTES = 1 << 20


def bootpilot_cache() -> Path:
    """`${XDG_CACHE_HOME:-~/.cache}/bootpilot`, made if it is missing. Never inside the checkout."""
    folder = cache_place()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def cache_place() -> Path:
    """Where that folder is or would be."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home.startswith("/") else Path.home() / ".cache") / "bootpilot"


def key_of(inputs: object) -> str:
    """A short name for JSON-like inputs: equal inputs, equal key, whatever the order of their fields."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tree_digests(root: Path, patterns: tuple[str, ...]) -> dict[str, str]:
    """Relative name -> mode and SHA-256 of every file below `root` that matches one of `patterns`."""
    files = {path for pattern in patterns for path in root.glob(pattern) if path.is_file() and "__pycache__" not in path.parts}
    return {str(path.relative_to(root)): f"{path.stat().st_mode & 0o111:o}:{file_sha256(path)}" for path in sorted(files)}


def cached_folder(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder `<kind>/<key>`, made by `make(empty folder)` unless it is there. A half-made one is never seen.

    Two builds at the same time make it once: the second waits for the first.
    """
    folder = bootpilot_cache() / kind
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / key
    with locked(folder / f".{key}.lock"):
        if not wanted.is_dir():
            _publish(folder, wanted, make)
        os.utime(wanted)
    return wanted


def _publish(folder: Path, wanted: Path, make: Callable[[Path], None]) -> None:
    forget_unused(folder)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{wanted.name}-", dir=folder))
    try:
        unfinished.chmod(0o755)
        make(unfinished)
        os.utime(unfinished)  # unpacking gave it the date of a package, and others look at it from here on
        unfinished.rename(wanted)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def forget_unused(folder: Path) -> None:
    """Delete what nobody used for weeks. Lock files stay: whoever holds one may be waiting."""
    for old in folder.iterdir():
        if old.suffix == ".lock" or time.time() - _used_s(old) < UNUSED_AFTER_S:
            continue
        if old.is_dir():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.unlink(missing_ok=True)


def _used_s(path: Path) -> float:
    """When it was used last, in seconds since 1970.

    What is being made has the date of what is unpacked into it, years ago perhaps; the time of its last change is true.
    """
    try:
        status = path.stat()
    except FileNotFoundError:  # renamed or deleted meanwhile
        return time.time()
    return status.st_ctime if path.name.startswith(".") else status.st_mtime


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; waits for another process or thread that does."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
