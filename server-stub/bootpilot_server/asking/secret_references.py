"""HOME/secrets.toml: where each secret is to be found. The file holds references, never a secret. No I/O here."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bootpilot_server.errors import OperatorError

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
SOURCES = ("file", "environment", "command")
KNOWN = (*SOURCES, "timeout_s", "keep_s")
TIMEOUT_S, MAX_TIMEOUT_S = 10, 120
KEEP_S, MAX_KEEP_S = 60, 86_400
HINT = 'for example [root-password] and below it file = "/etc/bootpilot/root-password"'


@dataclass(frozen=True)
class SecretReference:
    """One secret: a file, or a variable of the server's environment, or a command that prints it. `keep_s`: how long one
    answer is used; `timeout_s`: how long a command may take.
    """

    name: str
    file: Path | None = None
    environment: str = ""
    command: tuple[str, ...] = ()
    timeout_s: int = TIMEOUT_S
    keep_s: int = KEEP_S

    @property
    def told(self) -> str:
        """Where it comes from, for people. A command's arguments may say too much, so it is only its program."""
        if self.file:
            return f"file {self.file}"
        return f"environment {self.environment}" if self.environment else f"command {self.command[0]}"


def read_references(text: str, home: Path) -> Mapping[str, SecretReference]:
    """By name. Relative files are looked for beside secrets.toml. Raises OperatorError that names the key."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(f"secrets.toml: {error}") from error
    return {name: _reference(name, table, home) for name, table in tables.items()}


def _reference(name: str, table: object, home: Path) -> SecretReference:
    where = f"secrets.toml: {name}"
    if not re.fullmatch(NAME_PATTERN, name):
        raise OperatorError(f"{where}: expected a name of letters, digits, dot, dash and underscore", HINT)
    if not isinstance(table, dict):
        # What stands here may be the secret itself, so it is not shown.
        raise OperatorError(f"{where}: expected a table that says where the secret is, and not the secret", HINT)
    if unknown := sorted(table.keys() - set(KNOWN)):
        raise OperatorError(f"{where}: unknown key {unknown[0]}", "known keys: " + ", ".join(KNOWN))
    if len(table.keys() & set(SOURCES)) != 1:
        raise OperatorError(f"{where}: expected exactly one of {', '.join(SOURCES)}", HINT)
    command = table.get("command", ["-"])
    if not (isinstance(command, list) and command and all(isinstance(word, str) and "\0" not in word for word in command)):
        raise OperatorError(f"{where}.command: expected a list of a program and its arguments", "no shell reads it")
    for key in ("file", "environment"):
        if key in table and not (isinstance(table[key], str) and table[key] and "\0" not in table[key]):
            raise OperatorError(f"{where}.{key}: expected text", HINT)
    return SecretReference(
        name,
        file=home / table["file"] if "file" in table else None,
        environment=table.get("environment", ""),
        command=tuple(command) if "command" in table else (),
        timeout_s=_seconds(where, table, "timeout_s", TIMEOUT_S, MAX_TIMEOUT_S),
        keep_s=_seconds(where, table, "keep_s", KEEP_S, MAX_KEEP_S),
    )


def _seconds(where: str, table: Mapping[str, object], key: str, default: int, most: int) -> int:
    value = table.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise OperatorError(f"{where}.{key}: expected a number of seconds from 1 to {most}, got {value!r}")
    return value
