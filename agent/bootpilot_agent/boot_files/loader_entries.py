"""Boot Loader Specification entries, type 1: one file for each, sorted as the specification says. No I/O here.

https://uapi-group.org/specifications/specs/boot_loader_specification/ (systemd-boot); GRUB's blscfg of Fedora reads the same
files, with its own variables in them and its own default.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cmp_to_key

from bootpilot_agent.boot_files.entry import MAX_ENTRIES, BootFileError, Entry, Tree, join_path, read_text
from bootpilot_agent.boot_files.versions import compare_entries

# The ESP's or the boot partition's root; the same where /boot is a folder of the system's partition.
PLACES = ("/loader/entries", "/boot/loader/entries")
# NAME+LEFT-DONE.conf: how often the entry may still be tried ("Boot counting").
_COUNTED = re.compile(r"(?P<id>.+)\+(?P<left>[0-9]{1,9})(-[0-9]{1,9})?")
_SEVERAL = ("initrd", "options", "devicetree-overlay")
# Architectures in the specification's words; an entry of another one does not count.
EFI_ARCHITECTURES = {"amd64": "x64", "arm64": "aa64", "armhf": "arm", "riscv64": "riscv64"}


@dataclass(frozen=True)
class _File:
    """One entry file: its name without the counting and .conf, whether its tries are used up, and its values by key."""

    name: str
    path: str
    exhausted: bool
    values: Mapping[str, tuple[str, ...]]

    def text(self, key: str) -> str:
        return self.values.get(key, ("",))[-1]


def read_entries(
    tree: Tree, folder: str, arch: str, saved: str = "", variables: Mapping[str, str] | None = None
) -> list[Entry]:
    """All entries with a kernel, in the order of the menu, the default first. Raises BootFileError.

    `saved` is the default where loader.conf names none, and `variables` what `$NAME` stands for, both of GRUB's environment.
    """
    names = [name for name in tree.names(folder) if name.endswith(".conf")]
    if len(names) > MAX_ENTRIES:
        raise BootFileError(f"{folder}: more than {MAX_ENTRIES} entries")
    files = [_read_file(tree, f"{folder}/{name}") for name in names]
    wanted = EFI_ARCHITECTURES.get(arch, "")
    fitting = [file for file in files if file.text("linux") and file.text("architecture").lower() in ("", wanted)]
    if not fitting:
        raise BootFileError(f"{folder}: no entry with a kernel for {arch} in it")
    fitting.sort(key=cmp_to_key(_compare))
    pattern = _default_pattern(tree, folder) or saved
    fitting.sort(key=lambda file: file.exhausted or not (pattern and fnmatchcase(file.name, pattern.removesuffix(".conf"))))
    # Paths count from the partition's root; kernel-install writes them from /boot where that is no partition of its own.
    base = folder.removesuffix("/loader/entries")
    return [_to_entry(file, variables or {}, lambda path: _place(tree, base, path)) for file in fitting]


def _place(tree: Tree, base: str, path: str) -> str:
    whole = join_path("/", path)
    return f"{base}{whole}" if base and not tree.is_file(whole) and tree.is_file(f"{base}{whole}") else whole


def _read_file(tree: Tree, path: str) -> _File:
    values: dict[str, tuple[str, ...]] = {}
    for line in read_text(tree, path).splitlines():
        words = line.strip().split(None, 1)
        if len(words) == 2 and not words[0].startswith("#"):
            key = words[0]
            values[key] = (*values.get(key, ()), words[1].strip()) if key in _SEVERAL else (words[1].strip(),)
    stem = path.rpartition("/")[2].removesuffix(".conf")
    counted = _COUNTED.fullmatch(stem)
    exhausted = counted is not None and int(counted["left"]) == 0
    return _File(counted["id"] if counted else stem, path, exhausted, values)


def _compare(one: _File, other: _File) -> int:
    """ "Sorting" in the specification: those that were tried too often last, then by sort-key, then the newest first."""
    if one.exhausted != other.exhausted:
        return 1 if one.exhausted else -1
    keys = (one.text("sort-key"), other.text("sort-key"))
    if bool(keys[0]) != bool(keys[1]):
        return -1 if keys[0] else 1
    if keys[0]:
        for key in ("sort-key", "machine-id"):
            if one.text(key) != other.text(key):
                return -1 if one.text(key) < other.text(key) else 1
        if order := compare_entries(one.text("version"), other.text("version")):
            return -order
    return -compare_entries(one.name, other.name)


def _default_pattern(tree: Tree, folder: str) -> str:
    """`default` of loader.conf; those with @ are kept in EFI variables, which belong to the firmware of another boot."""
    path = f"{folder.removesuffix('/entries')}/loader.conf"
    if not tree.is_file(path):
        return ""
    found = re.findall(r"^[ \t]*default[ \t]+(\S+)[ \t]*$", read_text(tree, path), re.MULTILINE)
    return found[-1] if found and not found[-1].startswith("@") else ""


def _to_entry(file: _File, variables: Mapping[str, str], place: Callable[[str], str]) -> Entry:
    def words(key: str) -> list[str]:
        return expand(" ".join(file.values.get(key, ())), variables).split()

    return Entry(
        source=file.path,
        kernel=place(file.text("linux")),
        initrds=tuple(place(name) for name in words("initrd")),
        command_line=" ".join(words("options")),
        dtb=place(file.text("devicetree")) if file.text("devicetree") else "",
        overlays=tuple(place(name) for name in words("devicetree-overlay")),
    )


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`$NAME` and `${NAME}` -> their value; one that nobody set is nothing, as in GRUB."""
    return re.sub(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))", lambda found: variables.get(found[1] or found[2], ""), text)
