"""The nouns of installs: one install of one node, how far it got, and what a person ordered besides. No I/O here."""

import uuid
from dataclasses import dataclass
from enum import StrEnum

from bootpilot_agent.plan import Action

# Where a wanted install comes from: a person, a rule's key, failed local boots, a disk that was found installed.
ORDER, ADOPTED, RULE, AUTO = "order", "adopted", "rule:", "auto:"
# A standing order of a person, in the node's record: start from the disk; or "rescue:PROFILE".
LOCAL, RESCUE = "local", "rescue:"


class InstallState(StrEnum):
    """DONE: it ran to its end once and never runs again. FAILED: given up. SUPERSEDED: not wanted any more, and never done."""

    WANTED = "wanted"
    DONE = "done"
    FAILED = "failed"
    SUPERSEDED = "superseded"


@dataclass(frozen=True)
class InstallFacts:
    """One install id of one node. `attempts` failed or were overdue after the jump; `takes` are boots that were given its plan;
    `local_failures` are failed starts of the installed system in a row; `by` is the person who ordered it, "" for rules.
    """

    id: str
    origin: str
    profile: str
    state: InstallState = InstallState.WANTED
    attempts: int = 0
    takes: int = 0
    local_failures: int = 0
    last_failure: str = ""
    wanted_at: float = 0.0
    done_at: float | None = None
    by: str = ""

    @property
    def by_rule(self) -> bool:
        return self.origin.startswith(RULE)

    @property
    def told_tries(self) -> str:
        """How often it was tried and what came of it, in words; "" if there is nothing to tell."""
        told = {
            "attempts that failed": self.attempts,
            "boots given its plan": self.takes,
            "failed starts in a row": self.local_failures,
        }
        return ", ".join(f"{count} {what}" for what, count in told.items() if count)

    @property
    def is_automatic(self) -> bool:
        return self.origin.startswith(AUTO)


@dataclass(frozen=True)
class Order:
    """Reboot or power off, given once to the next question and then spent."""

    id: str
    action: Action


def rule_install_id(node_id: str, key: str) -> str:
    """What `install = "KEY"` of a rule means for a node: the same on every server and after the loss of any database."""
    return str(uuid.uuid5(uuid.UUID(node_id), key))


def automatic_install_id(node_id: str, former: str) -> str:
    """The one reinstall that failed local boots may cause for one install id. No key of a rule holds a colon."""
    return str(uuid.uuid5(uuid.UUID(node_id), AUTO + former))
