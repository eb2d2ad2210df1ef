"""Reads small files of /proc and /sys. Bounded, never raises: what is missing or unreadable is empty.

Values come from firmware and hardware: they may hold NULs, bytes that are no UTF-8, control characters, or a megabyte.
"""

import re
from pathlib import Path

from bootpilot_agent.taps import tap

LIMIT_BYTES = 4096


def read_bytes(path: Path, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """At most `limit_bytes` of the file; what came before an error (some attributes give EINVAL or EIO when read)."""
    # Unbuffered: an EEPROM on a slow bus gives only what is asked for. In a loop: /proc gives about a page at a time.
    kept = b""
    try:
        with path.open("rb", buffering=0) as file:
            while len(kept) < limit_bytes and (part := file.read(limit_bytes - len(kept))):
                kept += part
    except (OSError, ValueError):
        if not kept:
            return kept
    tap().read(path, kept)
    return kept


def read_text(path: Path, most: int = 256) -> str:
    """The file up to its first NUL as one stripped line of at most `most` characters; control characters become blanks."""
    return clean_text(read_bytes(path), most)


def read_strings(path: Path, most: int = 64) -> tuple[str, ...]:
    """A NUL-separated list, as device tree properties hold it."""
    return tuple(text for text in (clean_text(part) for part in read_bytes(path).split(b"\0")[:most]) if text)


def read_number(path: Path) -> int | None:
    """A decimal number, None if there is none."""
    text = read_text(path)
    return int(text) if re.fullmatch(r"-?[0-9]{1,20}", text) else None


def clean_text(raw: bytes, most: int = 256) -> str:
    """Foreign bytes -> text that can go into a report: no control or direction characters, no lone surrogates, bounded."""
    text = raw.split(b"\0", 1)[0].decode("utf-8", errors="replace")
    return "".join(char if char.isprintable() else " " for char in text).strip()[:most].rstrip()


def list_names(folder: Path, most: int = 4096) -> list[str]:
    """Sorted names in a folder, [] if there is none."""
    try:
        names = sorted(path.name for path in folder.iterdir())[:most]
    except OSError:
        return []
    tap().listed(folder, names)
    return names


def exists(path: Path) -> bool:
    """Is anything at this path? A recording has what is looked for by what can be read there, so never ask for a device."""
    if not path.exists():
        return False
    if path.is_dir():
        list_names(path)
    else:
        read_bytes(path)
    return True


def link_name(path: Path) -> str:
    """The last part of what a link such as `driver` or `subsystem` points at, "" without a link."""
    try:
        name = path.readlink().name
    except OSError:
        return ""
    tap().followed(path)
    return name


def device_path(path: Path, root: Path) -> str:
    """The path below /sys of the device that a link such as /sys/class/net/eth0 points at: `/devices/...`."""
    try:
        resolved = path.resolve()
        tap().followed(path)
        return "/" + str(resolved.relative_to((root / "sys").resolve()))
    except (OSError, ValueError, RuntimeError):
        return ""
