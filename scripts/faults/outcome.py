"""What came of one run of a scenario, as judged from what the board did. No I/O here."""

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from scripts.scenarios.scenario import Expect


class Loader(StrEnum):
    """Who boots the board."""

    AGENT = "agent"
    SCRIPT = "script"


class Came(StrEnum):
    """What came of a boot."""

    BOOTED = "booted"
    REFUSED = "refused"  # booted nothing, said why, and goes on asking
    NOTHING = "nothing"  # still without a payload when the time was over
    DEAD = "dead"  # jumped into what the plan does not name, or what cannot run


@dataclass(frozen=True)
class Outcome:
    """One run. `verified`: what kexec got, if it got anything, is what the plan names. `power_ons` counts reboots too."""

    scenario: str
    loader: Loader
    came: Came
    seconds: float
    verified: bool
    power_ons: int
    last_words: str

    def meets(self, expect: Expect) -> bool:
        return self.verified and self.came == {Expect.BOOTS: Came.BOOTED, Expect.REFUSES: Came.REFUSED}[expect]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Outcome":
        values = json.loads(text)
        return cls(**{**values, "loader": Loader(values["loader"]), "came": Came(values["came"])})


def is_verified(kernel: bytes, initrd: bytes, kernel_sha256: str, initrd_sha256: str, initrd_bytes: int) -> bool:
    """Is what was given to kexec what the plan names? The agent's own archive follows the initrd, and nothing else does."""
    given = hashlib.sha256(kernel).hexdigest(), hashlib.sha256(initrd[:initrd_bytes]).hexdigest()
    rest = initrd[initrd_bytes:].lstrip(b"\0")
    return given == (kernel_sha256, initrd_sha256) and (not rest or rest.startswith(b"070701"))
