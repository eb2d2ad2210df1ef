"""Where a system's /etc/fstab says that a folder's file system is. No I/O here."""

import re

from bootpilot_agent.boot_files.entry import BootFileError, Tree, read_text

PLACE = "/etc/fstab"


def find_mount(tree: Tree, folder: str) -> str:
    """The source of what is mounted there: `UUID=...`, `LABEL=...`, `PARTUUID=...` or a device; "" if nothing is."""
    try:
        text = read_text(tree, PLACE)
    except BootFileError:
        return ""
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 3 and not words[0].startswith("#") and _unescape(words[1]).rstrip("/") == folder:
            return re.sub(r'^(\w+=)"(.*)"$', r"\1\2", _unescape(words[0]))
    return ""


def _unescape(word: str) -> str:
    """Blanks and backslashes stand as octal numbers (fstab(5))."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), word)
