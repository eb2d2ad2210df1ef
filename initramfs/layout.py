"""Puts files at their places in an image, part by part, in a reproducible order. Pure but for reading which files there are."""

import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bootpilot_agent.cpio import Entry, directory, regular, symlink
from initramfs.errors import BuildError


@dataclass
class Layout:
    """The entries of an image by name, each with the part (agent, modules, ...) that it counts for."""

    entries: dict[str, Entry] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)

    def add(self, part: str, entry: Entry) -> None:
        """Add one entry, and the folders above it that are not there yet.

        Raises:
            BuildError: two parts want the same name for different things.
        """
        name = entry.name
        for parent in reversed(Path(name).parents[:-1]):
            if str(parent) not in self.entries:
                self._put(part, directory(str(parent)))
        known = self.entries.get(name)
        if known is None:
            self._put(part, entry)
        elif known != entry and not (stat.S_ISDIR(known.mode) and stat.S_ISDIR(entry.mode)):
            raise BuildError(f"/{name} is wanted by {self.parts[name]} and by {part}, with different content")

    def add_file(self, part: str, name: str, source: Path) -> None:
        """Add a regular file with the executable bits it has on disk; a symlink's target is taken."""
        executable = source.stat().st_mode & 0o111
        self.add(part, regular(name, source, 0o755 if executable else 0o644))

    def add_tree(self, part: str, name: str, folder: Path) -> None:
        """Add a folder with everything below it, symlinks as symlinks."""
        self.add(part, directory(name))
        for path in sorted(folder.rglob("*")):
            inside = f"{name}/{path.relative_to(folder)}".lstrip("/")
            if path.is_symlink():
                self.add(part, symlink(inside, str(path.readlink())))
            elif path.is_dir():
                self.add(part, directory(inside))
            else:
                self.add_file(part, inside, path)

    def ordered(self) -> Iterator[Entry]:
        """Every entry, sorted by name: folders come before what is in them, and the order never depends on a disk's."""
        return (self.entries[name] for name in sorted(self.entries))

    def of_parts(self, parts: Collection[str]) -> Iterator[Entry]:
        return (entry for entry in self.ordered() if self.parts[entry.name] in parts)

    def part_names(self) -> list[str]:
        """The parts in the order in which they were first added."""
        return list(dict.fromkeys(self.parts.values()))

    def _put(self, part: str, entry: Entry) -> None:
        self.entries[entry.name] = entry
        self.parts[entry.name] = part


def merged_usr() -> Iterable[Entry]:
    """The top of the tree as Debian has it: /bin, /sbin and /lib are links into /usr, so one place has everything."""
    for name in ("bin", "sbin", "lib"):
        yield directory(f"usr/{name}")
        yield symlink(name, f"usr/{name}")
    for name in ("dev", "etc", "mnt", "proc", "run", "sys", "var"):
        yield directory(name)
    yield directory("root", 0o700)
    yield directory("tmp", 0o1777)
