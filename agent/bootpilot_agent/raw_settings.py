"""What a source of settings says, before it is checked; and what of it does not count. No I/O here."""

import re
from dataclasses import dataclass, field

from bootpilot_agent.setting_values import Raw

COMMAND_LINE = "command line"
CARD = "card"
DHCP = "dhcp"
SHOWN = 80
_SECRET = re.compile(r"(?<![0-9A-Za-z])([0-9A-Za-z][0-9A-Za-z._-]{0,62}):[0-9A-Za-z._~-]{16,}")
_ENROL_LINE = re.compile(r"(enrol\w*\W*=\s*).*", re.IGNORECASE | re.DOTALL)


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


def shown(value: Raw, key: str = "") -> str:
    """A value as it may stand on the console and in logs: the secret of a batch may not, whatever key it was written under."""
    if key.startswith("enrol"):
        return "a text that is not shown here"
    shown = "nothing" if value is None else _ENROL_LINE.sub(r"\1...", _SECRET.sub(r"\1:...", ascii(value)))
    return shown if len(shown) <= SHOWN else shown[: SHOWN - 3] + "..."
