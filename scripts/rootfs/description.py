"""WHAT A ROOT FILE SYSTEM IS TO BE, as its TOML file says. Reads that file and looks which overlays there are; nothing else."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bootpilot_agent.install_system import HOSTNAME_PATTERN, PASSWORD_PATTERN, SSH_KEY_PATTERN, USER_PATTERN
from initramfs.drivers import DRIVER_GROUPS
from initramfs.errors import BuildError
from initramfs.mirrors import is_release

BUILT_IN = Path(__file__).parent
# deb-src-control(5): lower case letters, digits, + - . and at least two characters.
PACKAGE_PATTERN = r"[a-z0-9][a-z0-9+.-]+"
NAME_PATTERN = r"[a-z0-9][a-z0-9.-]{0,62}"
UNIT_PATTERN = r"[A-Za-z0-9:_.@\\-]+\.(service|socket|timer|target|path|mount)"
# As dpkg's --path-exclude takes them: from the root, with shell wildcards.
EXCLUDE_PATTERN = r"/[!-~]+"


class Method(StrEnum):
    """`installed`: a whole Debian, every package configured in a chroot. `unpacked`: files only, no program of it is run."""

    INSTALLED = "installed"
    UNPACKED = "unpacked"


@dataclass(frozen=True)
class User:
    """One account beside root. `password` is a crypt(5) hash, or "!" for none."""

    name: str
    password: str = "!"
    groups: tuple[str, ...] = ()
    ssh_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Description:
    """One root file system for any architecture. `release` is "" for the one that the architecture's loader is of."""

    name: str
    method: Method
    release: str
    hostname: str
    packages: tuple[str, ...]
    drivers: tuple[str, ...]
    exclude: tuple[str, ...]
    overlays: tuple[Path, ...]
    enable: tuple[str, ...]
    commands: tuple[str, ...]
    users: tuple[User, ...]
    min_disk_mib: int


def built_in_names() -> list[str]:
    """The descriptions that come with Bootpilot."""
    return sorted(path.stem for path in BUILT_IN.glob("*.toml"))


def read_description(wanted: str) -> Description:
    """A built-in description by its name, or any by its file. Raises BuildError that names the field and what is expected."""
    path = Path(wanted) if wanted.endswith(".toml") else BUILT_IN / f"{wanted}.toml"
    if not path.is_file():
        known = ", ".join(built_in_names())
        raise BuildError(f"there is no description {wanted!r}", f"built in are {known}; a file of your own ends in .toml")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BuildError(f"{path}: {error}") from error
    return parse_description(values, path)


def parse_description(values: Mapping[str, object], path: Path) -> Description:
    """The description in `path`, of which the overlays are folders beside it. Raises BuildError."""
    table = Table(path.name, values)
    method = Method(table.choice("method", tuple(Method), Method.INSTALLED))
    described = Description(
        name=_checked(path.stem, NAME_PATTERN, f"{path.name}: the file's name", "lower case letters, digits, dots and dashes"),
        method=method,
        release=table.text("release"),
        hostname=table.text("hostname", rf"|{HOSTNAME_PATTERN}", "letters, digits, dashes and dots"),
        packages=table.texts("packages", PACKAGE_PATTERN, "names of Debian packages"),
        drivers=table.texts("drivers", "|".join(group.name for group in DRIVER_GROUPS), "groups of initramfs/drivers.py"),
        exclude=table.texts("exclude", EXCLUDE_PATTERN, "paths from the root, with * and ?"),
        overlays=tuple(_overlay(path.parent / name, table) for name in table.texts("overlays")),
        enable=table.texts("enable", UNIT_PATTERN, "names of systemd's units"),
        commands=table.texts("commands"),
        users=tuple(_user(user) for user in table.tables("user")),
        min_disk_mib=table.number("min_disk_mib"),
    )
    table.nothing_else()
    if described.release and not is_release(described.release):
        raise BuildError(f"{path.name}: release is {described.release!r}, expected a Debian release", "for example trixie")
    if method is Method.UNPACKED:
        _refuse_what_needs_programs(described, path.name)
    return described


def _refuse_what_needs_programs(described: Description, file: str) -> None:
    for name in ("users", "enable", "commands", "exclude"):
        if getattr(described, name):
            key = "user" if name == "users" else name
            raise BuildError(f'{file}: {key} needs method = "installed": no program of an unpacked system is run')


class Table:
    """The keys of one TOML table, each asked for once; what was not asked for is refused by name."""

    def __init__(self, place: str, values: Mapping[str, object]) -> None:
        self.place = place
        self._values = dict(values)

    def text(self, key: str, pattern: str = r".*", expected: str = "a text", default: str = "") -> str:
        value = self._values.pop(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, "a text", value)
        return _checked(value, pattern, f"{self.place}: {key}", expected)

    def choice(self, key: str, known: tuple[str, ...], default: str) -> str:
        return self.text(key, "|".join(known), "one of " + ", ".join(known), default)

    def number(self, key: str) -> int:
        value = self._values.pop(key, 0)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self._wrong(key, "a number", value)
        return value

    def texts(self, key: str, pattern: str = r"[^\0]+", expected: str = "texts") -> tuple[str, ...]:
        value = self._values.pop(key, [])
        if not isinstance(value, list):
            raise self._wrong(key, f"a list: {expected}", value)
        for item in value:
            if not isinstance(item, str) or not re.fullmatch(pattern, item, re.DOTALL):
                raise self._wrong(key, expected, item)
        return tuple(value)

    def tables(self, key: str) -> list["Table"]:
        value = self._values.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self._wrong(key, f"tables [[{key}]]", value)
        return [Table(f"{self.place}: {key}[{index}]", item) for index, item in enumerate(value)]

    def nothing_else(self) -> None:
        """Raises BuildError for a key that nobody knows."""
        for key in self._values:
            raise BuildError(f"{self.place}: {key} is no key of a description", "scripts/rootfs/README.md has them all")

    def _wrong(self, key: str, expected: str, got: object) -> BuildError:
        return BuildError(f"{self.place}: {key} is {got!r}, expected {expected}")


def _user(table: Table) -> User:
    # Not shown in the error: a password in clear is the likeliest mistake.
    password = table.text("password", default="!")
    if not re.fullmatch(PASSWORD_PATTERN, password):
        raise BuildError(f'{table.place}: password is not a hash as `openssl passwd -6` prints it, or "!"')
    user = User(
        name=table.text("name", USER_PATTERN, "a user's name in lower case"),
        password=password,
        groups=table.texts("groups", USER_PATTERN, "names of groups"),
        ssh_keys=table.texts("ssh_keys", SSH_KEY_PATTERN, "public keys"),
    )
    table.nothing_else()
    return user


def _overlay(folder: Path, table: Table) -> Path:
    if not folder.is_dir():
        raise BuildError(f"{table.place}: overlays names {folder.name!r}, which is no folder beside the file")
    return folder


def _checked(value: str, pattern: str, place: str, expected: str) -> str:
    if not re.fullmatch(pattern, value, re.DOTALL):
        raise BuildError(f"{place} is {value!r}, expected {expected}")
    return value
