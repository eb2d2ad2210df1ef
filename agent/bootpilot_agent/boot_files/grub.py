"""grub.cfg in the patterns that grub-mkconfig of Debian, Ubuntu and Fedora writes. No I/O here.

GRUB's language is not run: every command of a menu entry counts whatever condition it stands under, because the generated
conditions only choose between hints to one and the same place. The default is what the generated header sets. A one-shot
`next_entry` is left alone: GRUB forgets it when it is used, and here nothing may be written.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bootpilot_agent.boot_files.entry import MAX_ENTRIES, BootFileError, Entry, Tree, parent, read_text
from bootpilot_agent.boot_files.grub_script import Command, expand, is_about, read_script

PLACES = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/grub/grub.cfg", "/grub2/grub.cfg")
ENVIRONMENT_HEAD = "# GRUB Environment Block"
_LINUX = ("linux", "linuxefi", "linux16")
_INITRD = ("initrd", "initrdefi", "initrd16")


@dataclass
class _Item:
    """One line of the menu: an entry with commands, or a submenu with items."""

    title: str
    id: str
    commands: list[Command]
    items: list["_Item"] = field(default_factory=list)


@dataclass(frozen=True)
class GrubMenu:
    """`entries` in order, the default first. `uses_loader_entries`: more stand in loader/entries. `saved` and `variables` are
    of the environment block and of what the file sets.
    """

    entries: tuple[Entry, ...]
    uses_loader_entries: bool
    saved: str
    variables: dict[str, str]


def read_menu(tree: Tree, path: str) -> GrubMenu:
    """Raises BootFileError."""
    environment = read_environment(tree, f"{parent(path)}/grubenv")
    try:
        commands = read_script(read_text(tree, path))
    except BootFileError as error:
        raise BootFileError(f"{path}: {error}") from error
    settings = [assignment for command in commands if (assignment := _assignment(command))]
    variables = dict(environment)
    for name, value in settings:
        if name != "default":
            variables[name] = expand(value, variables)
    variables |= {"menuentry_id_option": "--id", "root": "", "prefix": parent(path)} | environment
    items = _items(commands, variables)
    chosen = _default_item(items, _default(settings, variables))
    ordered = sorted(_leaves(items), key=lambda item: item is not chosen)
    entries = [entry for item in ordered[:MAX_ENTRIES] if (entry := _to_entry(item, path, variables))]
    uses_entries = any(command.name == "blscfg" for command in commands)
    if not entries and not uses_entries:
        raise BootFileError(f"{path}: no menu entry that starts Linux from a partition")
    return GrubMenu(tuple(entries), uses_entries, environment.get("saved_entry", ""), variables)


def read_environment(tree: Tree, path: str) -> dict[str, str]:
    """grubenv: 1024 bytes of NAME=VALUE lines, `\\` before what is special. {} where there is none or it is damaged."""
    try:
        text = read_text(tree, path)
    except BootFileError:
        return {}
    if not text.startswith(ENVIRONMENT_HEAD):
        return {}
    lines = re.findall(r"^(\w+)=((?:[^\\\n]|\\[\s\S])*)$", text, re.MULTILINE)
    return {name: re.sub(r"\\([\s\S])", r"\1", value) for name, value in lines}


def _assignment(command: Command) -> tuple[str, str] | None:
    """`set NAME=VALUE`, or the same without `set`."""
    words = command.words[1:] if command.name == "set" else command.words
    name, equals, value = words[0].partition("=") if words else ("", "", "")
    return (name, value) if equals and re.fullmatch(r"\w+", name) else None


def _default(settings: list[tuple[str, str]], variables: dict[str, str]) -> str:
    wanted = [value for name, value in settings if name == "default" and not is_about(value, "next_entry")]
    return (expand(wanted[-1], variables) if wanted else "") or "0"


def _items(commands: list[Command], variables: dict[str, str]) -> list[_Item]:
    return [
        _Item(
            title=expand(command.words[1], variables),
            id=_id(command, variables),
            commands=command.block,
            items=_items(command.block, variables) if command.name == "submenu" else [],
        )
        for command in commands
        if command.name in ("menuentry", "submenu") and len(command.words) > 1
    ]


def _id(command: Command, variables: dict[str, str]) -> str:
    words = [expand(word, variables) for word in command.words]
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word.startswith("--id"):
            return word.removeprefix("--id").removeprefix("=") or following
    return ""


def _leaves(items: list[_Item]) -> Iterator[_Item]:
    for item in items:
        if item.items:
            yield from _leaves(item.items)
        else:
            yield item


def _default_item(items: list[_Item], wanted: str) -> _Item | None:
    """`0`, `1>2`, a title or an id, at each level (`>>` is a `>` within a title); the first of a menu where it is not found."""
    found: _Item | None = None
    for name in re.split(r"(?<!>)>(?!>)", wanted):
        found = _named(items, name.replace(">>", ">"))
        if found is None:
            return next(_leaves(items), None)
        items = found.items or [found]
    return next(_leaves(items), None)


def _named(items: list[_Item], name: str) -> _Item | None:
    if re.fullmatch(r"[0-9]{1,6}", name):
        return items[int(name)] if int(name) < len(items) else None
    return next((item for item in items if name and name in (item.id, item.title)), None)


def _to_entry(item: _Item, path: str, variables: dict[str, str]) -> Entry | None:
    """None for what starts no Linux system: firmware setup, memory tests, other systems by chain loading."""

    def of(*names: str) -> list[list[str]]:
        return [
            [word for each in command.words[1:] for word in expand(each, variables).split("\n")]
            for command in item.commands
            if command.name in names
        ]

    kernels = [words for words in of(*_LINUX) if words]
    if not kernels:
        return None
    kernel, *arguments = kernels[-1]
    initrds = [name for words in of(*_INITRD) for name in words if name and not name.startswith("--")]
    command_line = " ".join(" ".join(arguments).split())
    if not initrds and "root=" not in command_line:
        return None
    searched = [words[-1] for words in of("search", "search.fs_uuid") if words and _is_by_uuid(words)]
    trees = [words[0] for words in of("devicetree") if words]
    return Entry(
        source=f"{path}: {item.title!a}",
        kernel=_path(kernel, path),
        initrds=tuple(_path(name, path) for name in initrds),
        command_line=command_line,
        dtb=_path(trees[-1], path) if trees else "",
        file_system=searched[-1] if searched else "",
    )


def _is_by_uuid(words: list[str]) -> bool:
    return not any(word in ("--label", "-l", "--file", "-f") for word in words)


def _path(name: str, path: str) -> str:
    """Without `($root)`, which is the partition that `search` found; GRUB's own names of disks mean nothing here."""
    bare = name.removeprefix("()")
    if not bare.startswith("/"):
        raise BootFileError(f"{path}: {name!a} is no path on this partition")
    return bare
