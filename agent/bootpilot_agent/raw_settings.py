"""What a source of settings says, before it is checked; and what of it does not count. No I/O here."""

from dataclasses import dataclass, field

from bootpilot_agent.setting_values import Raw

COMMAND_LINE = "command line"
CARD = "card"
DHCP = "dhcp"
SHOWN = 80


@dataclass(frozen=True)
class SettingProblem:
    """One setting that does not count, and why. `source` says where it stands, with the line where there is one."""

    key: str
    got: str
    expected: str
    source: str

    def __str__(self) -> str:
        return f"setting {self.key} ({self.source}): expected {self.expected}, got {self.got}"


@dataclass(frozen=True)
class RawSettings:
    """What one source says, not yet checked: key -> value, key -> where it stands, and what could not be read at all.

    `whole` is False where more may have stood there than what could be read.
    """

    values: dict[str, Raw]
    places: dict[str, str] = field(default_factory=dict)
    problems: tuple[SettingProblem, ...] = ()
    whole: bool = True


def shown(value: Raw) -> str:
    shown = "nothing" if value is None else ascii(value)
    return shown if len(shown) <= SHOWN else shown[: SHOWN - 3] + "..."
