"""Secrets as templates may name them: their names, and what is at hand of their values. No I/O here.

Who renders says what it has. A value that is wanted and not at hand is no error: whoever decides fetches it, outside of any
transaction, and decides again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


class SecretsWantedError(Exception):
    """What must be fetched before this can be decided."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__("secrets are wanted")
        self.names = frozenset(names)


@dataclass(frozen=True)
class SecretValue:
    """A secret, or in `failure` why it cannot be had; never both. The value is in no repr, so in no log of an exception."""

    text: str = field(default="", repr=False)
    failure: str = ""


@dataclass(frozen=True)
class Secrets:
    """`declared` are the names in secrets.toml, `known` the values at hand; `fault` is why that file cannot be used.
    `is_redacted`: in place of the values stands what says which one goes there.
    """

    declared: frozenset[str] = frozenset()
    known: Mapping[str, SecretValue] = field(default_factory=dict, repr=False)
    fault: str = ""
    is_redacted: bool = False

    def with_values(self, more: Mapping[str, SecretValue]) -> "Secrets":
        return Secrets(self.declared, {**self.known, **more}, self.fault)

    def redacted(self) -> "Secrets":
        """For previews: in place of each value a text that says which one goes there."""
        return Secrets(
            self.declared, {name: SecretValue(f"***{name}***") for name in self.declared}, self.fault, is_redacted=True
        )

    def find(self, name: str) -> SecretValue:
        """Raises SecretsWantedError."""
        if self.fault:
            return SecretValue(failure=self.fault)
        if name not in self.declared:
            return SecretValue(failure=f"secret {name} is not declared in secrets.toml")
        if name not in self.known:
            raise SecretsWantedError([name])
        return self.known[name]


NO_SECRETS = Secrets()
