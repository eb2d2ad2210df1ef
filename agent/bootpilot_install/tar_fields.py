"""The fields of tar headers: numbers, names, times, pax records. No I/O here.

Formats: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "Basic Tar Format". Every reader
raises ImageError for what no archive holds.
"""

import re

from bootpilot_install.errors import ImageError

XATTR_KEY = b"SCHILY.xattr."


def damaged(what: str) -> ImageError:
    """What a reader raises."""
    return ImageError(f"the archive is damaged: {what}", "was it packed and uploaded whole?")


def number(block: bytes, start: int, length: int) -> int:
    """Octal digits, or base 256 where the first bit is set (GNU)."""
    raw = block[start : start + length]
    if raw[:1] >= b"\x80":
        value = int.from_bytes(bytes([raw[0] & 0x7F]) + raw[1:], "big")
        if raw[0] & 0x40 or value >= 1 << 63:
            raise damaged("a number in a header is negative or absurd")
        return value
    text = raw.split(b"\0", 1)[0].strip(b" ")
    if not text:
        return 0
    if not re.fullmatch(rb"[0-7]{1,21}", text):
        raise damaged(f"{raw!a} is no number")
    return int(text, 8)


def plain(text: bytes) -> int:
    """Decimal digits."""
    if not re.fullmatch(rb"[0-9]{1,18}", text):
        raise damaged(f"{text[:40]!a} is no number")
    return int(text)


def decimal(values: dict[bytes, bytes], key: bytes, otherwise: int) -> int:
    """A pax record's number; `otherwise` where there is none."""
    return plain(values[key]) if values.get(key) else otherwise


def identity(values: dict[bytes, bytes], key: bytes, otherwise: int) -> int:
    """An owner or a group."""
    found = decimal(values, key, otherwise)
    # 2^32 - 1 means "as it is" to chown(2).
    if found >= (1 << 32) - 1:
        raise damaged(f"{key.decode()} {found} is no owner")
    return found


def time_ns(text: bytes | None, whole_s: int) -> int:
    """A pax time, else the header's whole seconds, in nanoseconds since 1970."""
    if text is None:
        return min(whole_s, 1 << 33) * 10**9
    found = re.fullmatch(rb"(-?)([0-9]{1,10})(?:\.([0-9]{1,18})[0-9]*)?", text)
    if not found:
        raise damaged(f"{text[:40]!a} is no time")
    value = int(found[2]) * 10**9 + int((found[3] or b"0").ljust(9, b"0")[:9])
    return -value if found[1] else value


def short_name(block: bytes) -> bytes:
    """The header's own name, with its prefix in ustar archives."""
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0] if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def pax_records(raw: bytes) -> list[tuple[bytes, bytes]]:
    """`length key=value` lines, the length counting itself and the newline."""
    found, position = [], 0
    while position < len(raw):
        blank = raw.find(b" ", position, position + 20)
        length = plain(raw[position:blank]) if blank > 0 else 0
        record = raw[position : position + length]
        if length <= blank + 1 - position or len(record) < length or not record.endswith(b"\n"):
            raise damaged("a pax header is malformed")
        key, sign, value = record[blank + 1 - position : -1].partition(b"=")
        if not sign:
            raise damaged("a pax header is malformed")
        found.append((key, value))
        position += length
    return found


def xattrs(pax: dict[bytes, bytes]) -> dict[str, bytes]:
    """Names of attributes are text to every tool that makes them. LIBARCHIVE's own form always stands beside this one."""
    prefix = XATTR_KEY
    found = {}
    for key, value in pax.items():
        if key.startswith(prefix):
            name = key[len(prefix) :].decode(errors="replace")
            if "\0" in name or not name:
                raise damaged("an extended attribute without a name")
            found[name] = value
    return found
