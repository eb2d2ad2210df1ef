"""Which kernel modules go into an image: the wanted ones with everything they need. `closure` is pure.

A module says what it needs in its `.modinfo` section (kernel: include/linux/module.h, scripts/mod/modpost.c): `depends`
by name, `softdep` by name or alias, and its own aliases. What crypto users ask for at run time ("crypto-crc32c") is no
dependency anywhere, so it stands as a softdep or in drivers.py.
"""

import fnmatch
import lzma
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from initramfs.elf import read_section
from initramfs.errors import BuildError

_FILE_NAME = re.compile(r"(?P<name>.+)\.ko(\.xz)?$")


@dataclass(frozen=True)
class Module:
    """One module: `path` relative to /lib/modules/<version>, what it needs and which names it answers to."""

    name: str
    path: str
    depends: tuple[str, ...] = ()
    soft: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()


class ModuleTree:
    """All modules of one kernel package. Reads a module's file only when somebody asks for the module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._paths = {module_name(path.name): path for path in sorted(folder.rglob("*.ko*")) if _FILE_NAME.match(path.name)}
        if not self._paths:
            raise BuildError(f"no kernel modules in {folder}")
        self._modules: dict[str, Module] = {}
        self._built_in = _built_in_names(folder)
        self._aliases: dict[str, list[str]] | None = None

    def matching(self, patterns: Iterable[str]) -> list[Module]:
        """Modules by name (`e1000e`) or by path below `kernel/` (`drivers/net/phy/*`), sorted by name."""
        names = set()
        for pattern in patterns:
            if "/" in pattern:
                names |= {name for name, path in self._paths.items() if fnmatch.fnmatch(self._stem(path), f"kernel/{pattern}")}
            elif module_name(pattern) in self._paths:
                names.add(module_name(pattern))
        return [self.module(name) for name in sorted(names)]

    def module(self, name: str) -> Module:
        """One module by its name, with - and _ taken as the same.

        Raises:
            BuildError: this kernel has no such module.
        """
        key = module_name(name)
        if key not in self._modules:
            if key not in self._paths:
                raise BuildError(f"this kernel has no module {name}")
            path = self._paths[key]
            self._modules[key] = module_from_info(
                key, str(path.relative_to(self.folder)), read_section(module_bytes(path), ".modinfo")
            )
        return self._modules[key]

    def knows(self, name: str) -> bool:
        return module_name(name) in self._paths

    def is_built_in(self, name: str) -> bool:
        return module_name(name) in self._built_in

    def answering_to(self, alias: str) -> list[Module]:
        """Modules with this exact alias; reads every module of the tree at the first call."""
        if self._aliases is None:
            self._aliases = {}
            for name in self._paths:
                for own in self.module(name).aliases:
                    self._aliases.setdefault(own, []).append(name)
        return [self.module(name) for name in sorted(self._aliases.get(alias, ()))]

    def _stem(self, path: Path) -> str:
        match = _FILE_NAME.match(str(path.relative_to(self.folder)))
        return match["name"] if match else str(path)


def closure(tree: ModuleTree, wanted: Iterable[Module]) -> list[Module]:
    """The wanted modules and all they need, sorted by path.

    Raises:
        BuildError: a module needs another that is neither there nor built in.
    """
    chosen: dict[str, Module] = {}
    waiting = list(wanted)
    while waiting:
        module = waiting.pop()
        if module.name in chosen:
            continue
        chosen[module.name] = module
        for name in module.depends:
            if tree.knows(name):
                waiting.append(tree.module(name))
            elif not tree.is_built_in(name):
                raise BuildError(f"module {module.name} needs {name}, which this kernel does not have")
        for name in module.soft:
            waiting += [tree.module(name)] if tree.knows(name) else tree.answering_to(name)
    return sorted(chosen.values(), key=lambda module: module.path)


def module_from_info(name: str, path: str, info: bytes) -> Module:
    """A module from the NUL-separated `key=value` pairs of its .modinfo section."""
    values: dict[str, list[str]] = {}
    for pair in info.split(b"\0"):
        key, _, value = pair.decode(errors="replace").partition("=")
        values.setdefault(key, []).append(value)
    depends = tuple(word for value in values.get("depends", ()) for word in value.split(",") if word)
    return Module(name, path, depends, _soft_names(values), tuple(values.get("alias", ())), tuple(values.get("firmware", ())))


def module_name(file_name: str) -> str:
    """`sdhci-of-arasan.ko.xz` -> `sdhci_of_arasan`, the one spelling in which modules are compared."""
    match = _FILE_NAME.match(file_name)
    return (match["name"] if match else file_name).replace("-", "_")


def module_bytes(path: Path) -> bytes:
    """A module's content, unpacked: the image is compressed as a whole, which does better than each by itself."""
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content


def _soft_names(values: Mapping[str, list[str]]) -> tuple[str, ...]:
    """softdep lines read `pre: a b post: c`."""
    words = [word for value in values.get("softdep", ()) for word in value.split()]
    return tuple(word for word in words if not word.endswith(":"))


def _built_in_names(folder: Path) -> set[str]:
    listing = folder / "modules.builtin"
    return {module_name(Path(line).name) for line in listing.read_text().splitlines()} if listing.is_file() else set()
