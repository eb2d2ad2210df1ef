"""The nouns of deciding: what is known about a node, what is at hand, and what a decision is. No I/O here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bootpilot_agent.evidence import Grade
from bootpilot_agent.plan import Plan, Report
from bootpilot_server.deciding.install_facts import InstallFacts, Order
from bootpilot_server.deciding.recipes import Expects
from bootpilot_server.deciding.rendering import RenderedFile
from bootpilot_server.deciding.rollout_facts import Line, Standing
from bootpilot_server.deciding.secret_values import NO_SECRETS, Secrets


class WaitReason(StrEnum):
    """The closed set of words that a `wait` may carry."""

    NOT_APPROVED = "not-approved"
    ON_HOLD = "on-hold"
    CONFLICT = "conflict"
    NO_USABLE_PLAN = "no-usable-plan"
    NO_SLOT = "no-slot"
    RENDER_ERROR = "render-error"
    RULE_TIE = "rule-tie"
    CAPABILITY = "capability"


# How often in a row a newer loader may fail on a node.
MAX_FAILURES = 3
# Boots in a row that were told to start it without a word of it: where events get lost, failures are not seen.
MAX_OFFERS = 3 * MAX_FAILURES


@dataclass(frozen=True)
class LoaderTries:
    """What became of one loader on one node so far: failures and offers in a row, and the last failure in words."""

    failures: int = 0
    offers: int = 0
    last_failure: str = ""

    @property
    def objection(self) -> str:
        """Why it is not to be tried again, "" if it is."""
        if self.failures >= MAX_FAILURES:
            return f"it failed {self.failures} times in a row on this board, at last: {self.last_failure}"
        if self.offers >= MAX_OFFERS:
            return f"{self.offers} boots in a row were told to start it and none of them was heard of again"
        return ""


@dataclass(frozen=True)
class NodeFacts:
    """One node at the moment it asks. `known_by` is the best grade of its evidence, `conflict` what contradicts, or "".

    `loader_builds` are the loaders since power-on, as far as report and server know, the one that asks last; `loader_tries`
    what became of newer loaders on this node, by their build.
    """

    node_id: str
    report: Report
    approved: bool = False
    known_by: Grade = Grade.NONE
    conflict: str = ""
    loader_builds: tuple[str, ...] = ()
    loader_tries: Mapping[str, LoaderTries] = field(default_factory=dict)
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    static_address: str = ""
    profile_override: str = ""
    approval: str = ""
    approved_grade: Grade = Grade.NONE
    admitted: Mapping[str, int] = field(default_factory=dict)
    hold: str = ""
    retired: bool = False
    adopted: bool = False
    install: InstallFacts | None = None
    installs: Mapping[str, InstallFacts] = field(default_factory=dict)
    standing: str = ""
    order: Order | None = None
    former_ids: frozenset[str] = frozenset()
    other_nodes: frozenset[str] = frozenset()
    rollout: Standing | None = None
    line: Line | None = None


@dataclass(frozen=True)
class StoredArtifact:
    """What the server holds under a digest. `kernel_arch`, `role` and `packed` (gzip, xz, ...) are what its own header says, ""
    if nothing.
    """

    size_bytes: int
    kernel_arch: str = ""
    role: str = ""
    packed: str = ""


@dataclass(frozen=True)
class Catalogue:
    """The artifacts at hand, the mirrors that have them too, and the secrets for what is rendered."""

    stored: Mapping[str, StoredArtifact]
    mirrors: tuple[str, ...] = ()
    secrets: Secrets = NO_SECRETS

    def urls(self, sha256: str) -> tuple[str, ...]:
        """Mirrors first: they are nearer. The server itself is always the last resort."""
        return (*(mirror + artifact_path(sha256) for mirror in self.mirrors), artifact_path(sha256))


@dataclass(frozen=True)
class InstallChanges:
    """What a decision changes in the record of a node's installs: those that its disk shows to be done, the unknown one by
    which the node becomes adopted, the one that this plan begins, the one that is given up, the one that a rule wants and that
    counts as superseded, and the id of the order that is spent.
    """

    found: tuple[InstallFacts, ...] = ()
    adopts: str = ""
    begins: InstallFacts | None = None
    gives_up: str = ""
    covers: InstallFacts | None = None
    spends: str = ""


@dataclass(frozen=True)
class Decision:
    """A plan without its token, the reasons in the order in which they were found, and the files it needs stored first.

    `lacks` says what the first rule's profile needs and this board, with this loader, cannot do. `admits`: the rule approves
    the board for good, which is to be counted in the transaction that answers.
    """

    plan: Plan
    why: tuple[str, ...]
    rule: str = ""
    profile: str = ""
    expects: Expects = Expects.NONE
    files: tuple[RenderedFile, ...] = ()
    decided_at_s: float = 0.0
    lacks: str = ""
    admits: bool = False
    changes: InstallChanges = InstallChanges()
    rollout: str = ""
    takes_slot: bool = False
    queue: str = ""

    @property
    def loader(self) -> str:
        """The build of the loader that the plan starts, "" for any other plan."""
        return self.plan.boot.loader if self.plan.boot else ""


class RefusedError(Exception):
    """A node cannot have a plan; it waits instead."""

    def __init__(self, reason: WaitReason, text: str, retry_after_s: int = 0) -> None:
        """`retry_after_s` 0: as is usual for the reason."""
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.retry_after_s = retry_after_s


def artifact_path(sha256: str) -> str:
    return f"/artifacts/sha256/{sha256}"


def secret_file_path(boot_id: str, name: str) -> str:
    """Below /v1/, the only place that agents send their token to."""
    return f"/v1/boots/{boot_id}/files/{name}"
