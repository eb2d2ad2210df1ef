"""What is kept of a node and of a boot, as types. No I/O here."""

import json
from dataclasses import dataclass

from bootpilot_agent.evidence import Grade
from bootpilot_agent.fields import Fields, Json
from bootpilot_agent.plan import Report
from bootpilot_server.deciding.recipes import Expects


@dataclass(frozen=True)
class NodeRecord:
    """One node. `report` is its last report without the nonce; "" if it was announced and never seen: `last_seen_at` is 0.

    `conflict` is "" except for records of a contradiction. `labels` and `conflict_with` are JSON.
    """

    id: str
    created_at: float
    last_seen_at: float
    simulated: bool
    conflict: str
    approved_at: float | None
    address: str
    report: str
    model: str
    serial: str
    current_boot: str | None
    failures: int
    name: str = ""
    labels: str = "{}"
    static_address: str = ""
    profile_override: str = ""
    approval: str = ""
    approved_by: str = ""
    approved_grade: int = 0
    batch: str = ""
    hold: str = ""
    retired_at: float | None = None
    adopted_at: float | None = None
    wanted_install: str = ""
    standing: str = ""
    conflict_with: str = "[]"

    @property
    def has_reported(self) -> bool:
        """False for a node that was announced and has not been seen yet: it has no report, model or boot."""
        return self.report != ""

    @property
    def known_by(self) -> Grade:
        """The best grade in its last report. Of an announced node nothing has been seen."""
        pieces = json.loads(self.report)["evidence"] if self.has_reported else []
        return max((Grade[piece["grade"].upper()] for piece in pieces), default=Grade.NONE)

    def read_labels(self) -> dict[str, str]:
        labels: dict[str, str] = json.loads(self.labels)
        return labels

    def read_conflict_with(self) -> tuple[str, ...]:
        """The nodes between which the contradiction stands."""
        return tuple(json.loads(self.conflict_with))

    def read_report(self) -> Report:
        """The last report again; its nonce is gone, so zeros stand in for it."""
        return Report.from_fields(Fields({**json.loads(self.report), "nonce": "0" * 64}))


@dataclass(frozen=True)
class BootRecord:
    """One boot: its last decision and what its events amount to so far. `loader` is the build that its plan starts, or "";
    `installs` what its plan installs, or ""; `booted_at` when the board started its disk by itself, None where a plan told it.
    """

    id: str
    node_id: str
    first_nonce: str
    started_at: float
    planned_at: float
    agent_version: str
    build_id: str
    plan: str
    why: str
    rule: str
    profile: str
    expects: Expects
    revision: int
    event_rank: int
    event: str
    event_data: str
    handover_at: float | None
    alive_at: float | None
    failed_at: float | None
    failure: str
    done_at: float | None
    install_id: str | None
    loader: str = ""
    loader_builds: str = "[]"
    token_node: str = ""
    slot_until: float | None = None
    queued_at: float | None = None
    queued_until: float | None = None
    queue: str = ""
    rollout: str = ""
    installs: str = ""
    booted_at: float | None = None

    @property
    def must_report(self) -> bool:
        """Whether silence after the jump is a failure."""
        return self.expects is not Expects.NONE or self.loader != ""

    def read_loader_builds(self) -> tuple[str, ...]:
        """The loaders since power-on, oldest first; () for a boot from before the server kept them."""
        return tuple(json.loads(self.loader_builds))

    def read_plan(self) -> dict[str, Json]:
        """The plan as JSON, without token and nonce."""
        plan: dict[str, Json] = json.loads(self.plan)
        return plan

    def read_why(self) -> list[str]:
        why: list[str] = json.loads(self.why)
        return why


def report_text(report: Report) -> str:
    """A report for the database and for pages: without its nonce and the secret of its batch."""
    return json.dumps({key: value for key, value in report.to_json().items() if key not in ("nonce", "enrol")})
