"""What an operator may set for one server: HOME/server.toml and its defaults. No I/O here."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from bootpilot_agent.fields import FieldError
from bootpilot_agent.plan import check_url
from bootpilot_server.errors import OperatorError
from bootpilot_server.store.keeping import KEEP, Keep

# As many boards as the largest grid in mind has, with room; a flood of invented boards ends here, not on the disk.
MAX_WAITING_NODES = 50_000
# The same for boards that a rule lets in: as many again, so that invented ones which a rule fits do not fill the disk either.
MAX_ADMITTED_NODES = 100_000

# A log of an ordinary boot is some 50 KiB: the last four boots of each of 20 000 boards.
MAX_LOGS_MIB = 4096

# More nodes than a person oversees at a glance: what changes so many asks first.
ASK_ABOVE = 20


@dataclass(frozen=True)
class Config:
    """`mirrors` are base URLs of caches that serve /artifacts/ too; they stand before the server's own address in a plan.

    `max_concurrent` bounds the installs and large downloads that are under way at once; 0 is no bound.
    """

    home: Path
    allow_simulated: bool = False
    mirrors: tuple[str, ...] = ()
    max_waiting_nodes: int = MAX_WAITING_NODES
    max_admitted_nodes: int = MAX_ADMITTED_NODES
    max_logs_mib: int = MAX_LOGS_MIB
    keep: Keep = KEEP
    ask_above: int = ASK_ABOVE
    max_concurrent: int = 0

    @property
    def database(self) -> Path:
        return self.home / "state.sqlite"

    @property
    def artifacts(self) -> Path:
        return self.home / "artifacts" / "sha256"

    @property
    def secret_files(self) -> Path:
        return self.home / "secret-files"

    @property
    def secret_key(self) -> Path:
        return self.home / "secret.key"

    @classmethod
    def from_toml(cls, home: Path, text: str) -> "Config":
        """Raises OperatorError that names the key."""
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise OperatorError(f"server.toml: {error}") from error
        known = {field.name for field in fields(cls)} - {"home"}
        if unknown := sorted(table.keys() - known):
            raise OperatorError(f"server.toml: unknown key {unknown[0]}", "known keys: " + ", ".join(sorted(known)))
        return cls(
            home=home,
            allow_simulated=_flag(table.get("allow_simulated", False)),
            mirrors=read_mirrors(table.get("mirrors", [])),
            max_waiting_nodes=_count("max_waiting_nodes", table.get("max_waiting_nodes", MAX_WAITING_NODES)),
            max_admitted_nodes=_count("max_admitted_nodes", table.get("max_admitted_nodes", MAX_ADMITTED_NODES)),
            max_logs_mib=_count("max_logs_mib", table.get("max_logs_mib", MAX_LOGS_MIB)),
            keep=Keep.from_table(table.get("keep", {})),
            ask_above=_count("ask_above", table.get("ask_above", ASK_ABOVE)),
            max_concurrent=_count("max_concurrent", table.get("max_concurrent", 0)),
        )


def read_mirrors(value: object) -> tuple[str, ...]:
    """Base URLs without the closing slash. Raises OperatorError."""
    if not isinstance(value, list) or not all(isinstance(url, str) for url in value):
        raise OperatorError(f"mirrors: expected a list of URLs, got {value!r}")
    for url in value:
        try:
            check_url("mirrors", url)
        except FieldError as error:
            raise OperatorError(str(error)) from error
        if url.startswith("/"):
            raise OperatorError(f"mirrors: expected an absolute URL, got {url!r}", 'for example "http://cache.rack7.example"')
    return tuple(url.rstrip("/") for url in value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise OperatorError(f"allow_simulated: expected true or false, got {value!r}")
    return value


def _count(key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise OperatorError(f"{key}: expected a number from 0, got {value!r}")
    return value
