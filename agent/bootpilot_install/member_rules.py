"""What a member of an archive may be called and be. No I/O here.

A root file system is content: what it links to is its own business. But no member may name a place outside the tree, and none
may be a device: /dev is the kernel's (devtmpfs), and a node elsewhere is a door to a disk for whoever can read it.
"""

from bootpilot_install.errors import ImageError
from bootpilot_install.tar_format import Kind, Member

MAX_NAME = 255
MAX_PATH = 4095

# What debootstrap and docker leave in /dev, which every kernel makes anew: passed over, not made
# (Documentation/admin-guide/devices.txt). Each can be opened by everybody anyway; the console is the exception.
HARMLESS_DEVICES = {
    (1, 3): b"null",
    (1, 5): b"zero",
    (1, 7): b"full",
    (1, 8): b"random",
    (1, 9): b"urandom",
    (5, 0): b"tty",
    (5, 1): b"console",
    (5, 2): b"ptmx",
}


def clean_path(name: bytes, what: str) -> tuple[bytes, ...]:
    """The parts of a member's name below the tree; () is the tree itself. Raises ImageError that names it."""
    if name.startswith(b"/"):
        raise _refused(name, f"{what} is absolute")
    parts = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
    if b".." in parts:
        raise _refused(name, f"{what} leads upwards (..)")
    if b"\0" in name or len(name) > MAX_PATH or any(len(part) > MAX_NAME for part in parts):
        raise _refused(name, f"{what} is no file name")
    return parts


def check_member(member: Member) -> tuple[bytes, ...]:
    """The parts of its name. Raises ImageError for a name or a kind that is not taken."""
    parts = clean_path(member.name, "its name")
    if not parts and member.kind is not Kind.FOLDER:
        raise _refused(member.name, f"the tree itself as a {member.kind.value}")
    if member.kind is Kind.HARD_LINK and not clean_path(member.link, f"the hard link's target {_shown(member.link)}"):
        raise _refused(member.name, "a hard link to the tree itself")
    if member.kind is Kind.SYMLINK and (not member.link or len(member.link) > MAX_PATH or b"\0" in member.link):
        raise _refused(member.name, "a symbolic link to nothing that can be")
    if member.kind in (Kind.BLOCK_DEVICE, Kind.CHARACTER_DEVICE) and not is_harmless_device(member, parts):
        raise _refused(member.name, f"a {member.kind.value} ({member.device[0]}:{member.device[1]})")
    return parts


def is_harmless_device(member: Member, parts: tuple[bytes, ...]) -> bool:
    """One that /dev has in every system, and that need not be made."""
    return member.kind is Kind.CHARACTER_DEVICE and parts == (b"dev", HARMLESS_DEVICES.get(member.device, b""))


def _shown(name: bytes) -> str:
    return ascii(name.decode(errors="backslashreplace"))[1:-1][:200]


def _refused(name: bytes, why: str) -> ImageError:
    return ImageError(f"the archive holds {_shown(name)}: {why}", "a root file system has no such thing; make the archive anew")
