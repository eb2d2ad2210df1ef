"""A small operator's folder and the artifacts that it names, for tests of the server."""

import hashlib
from pathlib import Path

# The header of an arm64 Image (magic at 56), then some bytes that no two tests share by chance.
KERNEL = bytes(56) + b"ARM\x64" + b"the kernel" * 500
INITRD = b"the initrd" * 300

PROFILE = """\
expects = "payload-up"
command_line = "console=ttyAMA0 panic=10"

[kernel]
sha256 = "{kernel}"
name = "vmlinuz"

[[initrd]]
sha256 = "{initrd}"
unpacked_size = 4096
"""
RULE = """\
priority = 10
profile = "ram-page"
admit = true

[match]
arch = "arm64"
"""


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def profile(extra: str = "", *, before: str = "") -> str:
    """The text of the profile; `before` goes among its top-level keys."""
    return before + PROFILE.format(kernel=digest(KERNEL), initrd=digest(INITRD)) + extra


def write_site(folder: Path, **texts: str) -> Path:
    """Make the folder; names such as rules__lab stand for rules/lab.toml, and templates__motd for templates/motd."""
    files = {"profiles__ram_page": profile(), "rules__lab": RULE, **texts}
    for name, text in files.items():
        kind, _, rest = name.partition("__")
        path = folder / kind / (rest.replace("_", "-") + ("" if kind == "templates" else ".toml"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
