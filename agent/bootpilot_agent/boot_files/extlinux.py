"""extlinux.conf as U-Boot's sysboot reads it (boot/pxe_utils.c; doc/README.pxe). No I/O here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bootpilot_agent.boot_files.entry import MAX_ENTRIES, BootFileError, Entry, Tree, join_path, parent, read_text

PLACES = ("/extlinux/extlinux.conf", "/boot/extlinux/extlinux.conf")
# MAX_NEST_LEVEL of U-Boot; files in all, so that two that name each other cost nothing.
DEEPEST, MOST_FILES = 16, 32

# Keyword of a label -> what it sets.
_LABEL_KEYS = {
    "kernel": "kernel",
    "linux": "kernel",
    "append": "append",
    "initrd": "initrd",
    "fdt": "fdt",
    "devicetree": "fdt",
    "fdtdir": "fdtdir",
    "devicetreedir": "fdtdir",
    "fdtoverlays": "fdtoverlays",
    "devicetree-overlay": "fdtoverlays",
}


@dataclass
class _Label:
    name: str
    values: dict[str, str] = field(default_factory=dict)


@dataclass
class _Menu:
    """What all files together say."""

    default: str = ""
    labels: list[_Label] = field(default_factory=list)
    files: int = 0


def read_entries(tree: Tree, path: str) -> list[Entry]:
    """The labels that start a kernel, the default first. Raises BootFileError."""
    menu = _Menu()
    _read_file(tree, path, menu, depth=1)
    labels = sorted(menu.labels, key=lambda label: label.name != menu.default)
    entries = [_to_entry(label, path) for label in labels if label.values.get("kernel")]
    if not entries:
        raise BootFileError(f"{path}: no label with a kernel in it")
    return entries


def _read_file(tree: Tree, path: str, menu: _Menu, depth: int) -> None:
    menu.files += 1
    if depth > DEEPEST or menu.files > MOST_FILES:
        raise BootFileError(f"{path}: included too deep, or too many files ({DEEPEST} levels, {MOST_FILES} files are taken)")
    label: _Label | None = None
    for keyword, value in _lines(read_text(tree, path)):
        if keyword == "include":
            _read_file(tree, join_path(parent(path), value.split()[0]), menu, depth + 1)
        elif keyword == "label":
            label = _Label(value)
            menu.labels.append(label)
        elif label is None:
            # Of `default` the last one counts; `ontimeout` is what starts where nobody is in front of the board.
            menu.default = value if keyword in ("default", "ontimeout") else menu.default
        elif keyword == "menu default":
            menu.default = label.name
        elif keyword in _LABEL_KEYS:
            label.values[_LABEL_KEYS[keyword]] = value
    if len(menu.labels) > MAX_ENTRIES:
        raise BootFileError(f"{path}: more than {MAX_ENTRIES} labels")


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """(keyword in lower case, the rest); of `menu` the word after it belongs to the keyword."""
    for line in text.splitlines():
        keyword, _, value = " ".join(line.split()).partition(" ")
        if keyword.lower() == "menu":
            word, _, value = value.partition(" ")
            keyword = "include" if word.lower() == "include" else f"menu {word}"
        if keyword and not keyword.startswith("#") and (value or keyword.lower() == "menu default"):
            yield keyword.lower(), value


def _to_entry(label: _Label, path: str) -> Entry:
    folder, values = parent(path), label.values
    # U-Boot puts its environment in here, which is gone: what a variable held is not known.
    append = re.sub(r"\$\{[^}]{0,64}\}", "", values.get("append", ""))
    initrds = [name for name in values.get("initrd", "").split(",") if name]
    return Entry(
        source=f"{path}: label {label.name}",
        # Behind a # stands the configuration of a FIT image, which the check of the kernel refuses by its name.
        kernel=join_path(folder, values["kernel"].partition("#")[0]),
        initrds=tuple(join_path(folder, name) for name in initrds),
        command_line=" ".join(append.split()),
        dtb=join_path(folder, values["fdt"]) if values.get("fdt") else "",
        dtb_folder=join_path(folder, values["fdtdir"]) if values.get("fdtdir") else "",
        overlays=tuple(join_path(folder, name) for name in values.get("fdtoverlays", "").split()),
    )
