"""The recorded board's files as a tree: what was read, in its place. No I/O here.

Nothing a recording says leads out of the tree: paths are walked link by link within it, and a link's target is put so that it
stays there.
"""

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, field

from bootpilot_agent.recording_lines import FileKind, FileLine

MAX_LINKS = 40
# NAME_MAX of Linux; a recording has no longer ones from a board.
MAX_NAME_BYTES = 255
Parts = tuple[str, ...]


@dataclass
class BoardFiles:
    """Every file, folder and link by its path below the root. Later readings replace earlier ones."""

    files: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    links: dict[str, str] = field(default_factory=dict)

    def add(self, line: FileLine) -> None:
        """One reading. Links have to come before what was read through them; see `add_all`."""
        if line.what is FileKind.LINK:
            self._add_link(line.path, line.target)
            return
        path = self.place_of(line.path)
        if not path or path in self.links:
            return
        if line.what is FileKind.FILE and path not in self.folders:
            self._add_folders(path)
            self.files[path] = line.content
        elif line.what is FileKind.FOLDER and path not in self.files:
            self.folders.add(path)
            self._add_folders(path)

    def add_all(self, lines: Iterable[FileLine]) -> None:
        """The links first, the shortest first: a link may lie behind another one. What no file can be called is left out."""
        known = [line for line in lines if all(is_name(part) for part in (*_parts(line.path), *_parts(line.target)))]
        for line in sorted((line for line in known if line.what is FileKind.LINK), key=lambda line: line.path.count("/")):
            self.add(line)
        for line in known:
            if line.what is not FileKind.LINK:
                self.add(line)
        for line in known:
            if line.what is FileKind.FOLDER:
                self._add_names(line)

    def place_of(self, path: str) -> str:
        """Where a path really leads, "" if it leads nowhere."""
        return "/".join(self._walk(_parts(path)) or ())

    def _walk(self, parts: Parts, links_left: int = MAX_LINKS) -> Parts | None:
        place: list[str] = []
        for number, part in enumerate(parts):
            if part == "..":
                del place[-1:]
                continue
            place.append(part)
            target = self.links.get("/".join(place))
            if target is not None:
                if not links_left:
                    return None
                start = () if target.startswith("/") else place[:-1]
                return self._walk((*start, *_parts(target), *parts[number + 1 :]), links_left - 1)
        return tuple(place)

    def _add_link(self, path: str, target: str) -> None:
        folder, _, name = path.rpartition("/")
        parent = self._walk(_parts(folder))
        if parent is None or not name or name == "..":
            return
        place = "/".join((*parent, name))
        inside = _parts(target) if target.startswith("/") else _within((*parent, *_parts(target)))
        if place in self.files or place in self.folders or place == "/".join(inside):
            return
        self._add_folders(place)
        self.links[place] = posixpath.relpath("/" + "/".join(_within(inside)), "/" + "/".join(parent))
        self._add_folder("/".join(self._walk(_within(inside)) or ()))

    def _add_names(self, line: FileLine) -> None:
        """What stands in a folder and was not looked at: an empty folder is enough to be there."""
        folder = self.place_of(line.path)
        for name in line.names:
            path = f"{folder}/{name}".lstrip("/")
            if is_name(name) and name != "..":
                self._add_folder(path)

    def _add_folder(self, path: str) -> None:
        if path and path not in self.files and path not in self.links:
            self.folders.add(path)
            self._add_folders(path)

    def _add_folders(self, path: str) -> None:
        while path := path.rpartition("/")[0]:
            self.files.pop(path, None)
            self.folders.add(path)


def is_name(name: str) -> bool:
    """Can a file be called so?"""
    raw = name.encode("utf-8", "replace")
    return 0 < len(raw) <= MAX_NAME_BYTES and not {"/", "\0"} & set(name) and name != "." and raw.decode() == name


def _parts(path: str) -> Parts:
    return tuple(part for part in path.split("/") if part not in ("", "."))


def _within(parts: Parts) -> Parts:
    """Without `..`, which leads no further up than to the root."""
    place: list[str] = []
    for part in parts:
        if part == "..":
            del place[-1:]
        else:
            place.append(part)
    return tuple(place)
