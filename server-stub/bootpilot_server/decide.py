"""What a node boots, and why. No I/O here: neither Flask nor the file system, no clock but the one handed in.

Rules are tried by priority, highest first; the first that matches wins. Where the outcome would be a guess (two rules of one
priority with different plans, a template that does not render, a kernel for another machine) the answer is a wait.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bootpilot_agent.evidence import Grade
from bootpilot_agent.fields import FieldError
from bootpilot_agent.plan import (
    Action,
    Artifact,
    BootPayload,
    DtbPolicy,
    PayloadFile,
    Plan,
    Report,
    Wait,
    Watchdog,
    check_command_line,
)
from bootpilot_server.recipes import ArtifactRef, Expects, Profile, Rule
from bootpilot_server.rendering import RenderedFile, RenderError, node_context, render_file
from bootpilot_server.selection import facts_of, why_not


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


# How soon asking again can help: a person approves at a keyboard, repairs a folder within minutes, rewrites a card in days.
RETRY_AFTER_S = {
    WaitReason.NOT_APPROVED: 20,
    WaitReason.ON_HOLD: 60,
    WaitReason.CONFLICT: 60,
    WaitReason.NO_USABLE_PLAN: 30,
    WaitReason.NO_SLOT: 30,
    WaitReason.RENDER_ERROR: 60,
    WaitReason.RULE_TIE: 60,
    WaitReason.CAPABILITY: 300,
}
# PCs have ACPI; there is no device tree that their payload could get or miss.
WITHOUT_DEVICE_TREE = frozenset({"amd64"})


@dataclass(frozen=True)
class NodeFacts:
    """One node at the moment it asks. `known_by` is the best grade of its evidence, `conflict` what contradicts, or ""."""

    node_id: str
    report: Report
    approved: bool = False
    known_by: Grade = Grade.NONE
    conflict: str = ""


@dataclass(frozen=True)
class StoredArtifact:
    """What the server holds under a digest. `kernel_arch` is what the file's own header says, "" if it says nothing."""

    size_bytes: int
    kernel_arch: str = ""


@dataclass(frozen=True)
class Catalogue:
    """The artifacts at hand, and the mirrors that have them too."""

    stored: Mapping[str, StoredArtifact]
    mirrors: tuple[str, ...] = ()

    def urls(self, sha256: str) -> tuple[str, ...]:
        """Mirrors first: they are nearer. The server itself is always the last resort."""
        return (*(mirror + artifact_path(sha256) for mirror in self.mirrors), artifact_path(sha256))


@dataclass(frozen=True)
class Decision:
    """A plan without its token, the reasons in the order in which they were found, and the files it needs stored first."""

    plan: Plan
    why: tuple[str, ...]
    rule: str = ""
    profile: str = ""
    expects: Expects = Expects.NONE
    files: tuple[RenderedFile, ...] = ()
    decided_at_s: float = 0.0


class _RefusedError(Exception):
    """A profile cannot be given to this node."""

    def __init__(self, reason: WaitReason, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


def artifact_path(sha256: str) -> str:
    return f"/artifacts/sha256/{sha256}"


def decide(
    node: NodeFacts, rules: Sequence[Rule], profiles: Mapping[str, Profile], artifacts: Catalogue, now: float
) -> Decision:
    """`now` is recorded as the moment of the decision, in Unix seconds."""
    why: list[str] = []
    rule: Rule | None = None
    try:
        if node.conflict:
            raise _RefusedError(WaitReason.CONFLICT, node.conflict)
        rule = _choose(node, rules, why)
        profile = profiles[rule.profile]
        files = _fit(node, profile, artifacts)
    except _RefusedError as refusal:
        wait = _wait(node, refusal)
        return Decision(wait, (refusal.text, *why), rule=rule.name if rule else "", decided_at_s=now)
    plan = _boot(node, profile, files, artifacts)
    first = f"profile {profile.name} by rule {rule.name} (priority {rule.priority})"
    return Decision(plan, (first, *why), rule.name, profile.name, profile.expects, files, now)


def _choose(node: NodeFacts, rules: Sequence[Rule], why: list[str]) -> Rule:
    """The rule that wins; what becomes of the others goes into `why`."""
    facts, memory_bytes = facts_of(node.node_id, node.report), node.report.inventory.memory_bytes
    matching = []
    for rule in sorted(rules, key=lambda rule: (-rule.priority, rule.name)):
        if objection := why_not(rule, facts, memory_bytes):
            why.append(f"rule {rule.name} (priority {rule.priority}) lost: {objection}")
        else:
            matching.append(rule)
    if not matching:
        reason = WaitReason.NO_USABLE_PLAN if node.approved else WaitReason.NOT_APPROVED
        nothing = "no rule matches this board" if rules else "no rules are in force; `bootpilot apply` puts a folder in force"
        raise _RefusedError(reason, nothing if node.approved else f"this board is not approved, and {nothing}")
    winner = matching[0]
    why += [f"rule {rule.name} (priority {rule.priority}) lost: {winner.name} stands before it" for rule in matching[1:]]
    _refuse_tie(node, winner, matching)
    if not (node.approved or winner.admit):
        raise _RefusedError(
            WaitReason.NOT_APPROVED,
            f"this board is not approved, and rule {winner.name} does not admit unknown boards (`bootpilot node approve` does)",
        )
    return winner


def _refuse_tie(node: NodeFacts, winner: Rule, matching: Iterable[Rule]) -> None:
    equal = [rule for rule in matching if rule.priority == winner.priority]
    outcomes = {(rule.profile, node.approved or rule.admit) for rule in equal}
    if len(outcomes) > 1:
        names = ", ".join(rule.name for rule in equal)
        raise _RefusedError(
            WaitReason.RULE_TIE, f"rules {names} have priority {winner.priority}, all match, and would give different plans"
        )


def _fit(node: NodeFacts, profile: Profile, artifacts: Catalogue) -> tuple[RenderedFile, ...]:
    """Every objection to giving this profile to this node, else its rendered files."""
    report = node.report
    _refuse_disk_writer(node, profile)
    if profile.arch and profile.arch != report.arch:
        raise _RefusedError(
            WaitReason.NO_USABLE_PLAN, f"profile {profile.name} is for {profile.arch}, this board is {report.arch}"
        )
    missing = [feature for feature in _requires(profile, report.arch) if feature not in report.features]
    if missing:
        raise _RefusedError(
            WaitReason.CAPABILITY, f"profile {profile.name} needs {', '.join(missing)}, which this loader does not offer"
        )
    if not (report.inventory.kexec.load or report.inventory.kexec.file_load):
        raise _RefusedError(WaitReason.CAPABILITY, "the loader kernel of this board has no kexec")
    for ref in profile.artifacts:
        _refuse_artifact(profile, ref, artifacts)
    kernel_arch = artifacts.stored[profile.kernel.sha256].kernel_arch
    if kernel_arch not in ("", report.arch):
        raise _RefusedError(
            WaitReason.NO_USABLE_PLAN, f"the kernel of profile {profile.name} is for {kernel_arch}, this board is {report.arch}"
        )
    try:
        check_command_line(profile.command_line, report.arch)
        context = node_context(node.node_id, report, profile.name)
        return tuple(render_file(recipe, context) for recipe in profile.files)
    except FieldError as error:
        raise _RefusedError(WaitReason.NO_USABLE_PLAN, f"profile {profile.name}: {error}") from error
    except RenderError as error:
        raise _RefusedError(WaitReason.RENDER_ERROR, f"profile {profile.name}: {error}") from error


def _refuse_disk_writer(node: NodeFacts, profile: Profile) -> None:
    """`admit` lets a board in, but no rule alone lets it write: that takes a person's word for this board."""
    if profile.writes_disk and not node.approved:
        known = "" if node.known_by is Grade.STRONG else f", and known only by {node.known_by.name.lower()} evidence"
        raise _RefusedError(
            WaitReason.NOT_APPROVED, f"profile {profile.name} writes a disk; this board is not approved by name{known}"
        )


def _refuse_artifact(profile: Profile, ref: ArtifactRef, artifacts: Catalogue) -> None:
    found = artifacts.stored.get(ref.sha256)
    if found is None:
        raise _RefusedError(
            WaitReason.NO_USABLE_PLAN, f"profile {profile.name}: artifact {ref.name or ref.sha256} is not on the server"
        )
    if ref.size_bytes and ref.size_bytes != found.size_bytes:
        text = f"artifact {ref.name or ref.sha256} has {found.size_bytes} bytes instead of {ref.size_bytes}"
        raise _RefusedError(WaitReason.NO_USABLE_PLAN, f"profile {profile.name}: {text}")


def _requires(profile: Profile, arch: str) -> tuple[str, ...]:
    tree = () if arch in WITHOUT_DEVICE_TREE and profile.dtb_policy is DtbPolicy.RUNNING else (f"dtb:{profile.dtb_policy}",)
    return tuple(dict.fromkeys((Action.BOOT.value, *tree, *profile.requires)))


def _boot(node: NodeFacts, profile: Profile, files: Iterable[RenderedFile], artifacts: Catalogue) -> Plan:
    def artifact(ref: ArtifactRef) -> Artifact:
        return Artifact(artifacts.urls(ref.sha256), artifacts.stored[ref.sha256].size_bytes, ref.sha256, ref.unpacked_bytes)

    return Plan(
        node_id=node.node_id,
        boot_id=node.report.boot_id,
        token="",
        nonce=node.report.nonce,
        action=Action.BOOT,
        writes_disk=profile.writes_disk,
        requires=_requires(profile, node.report.arch),
        valid_s=profile.valid_s,
        fetch_deadline_s=profile.fetch_deadline_s,
        payload_up_deadline_s=profile.payload_up_deadline_s,
        watchdog=profile.watchdog,
        install_id=None,
        boot=BootPayload(
            profile=profile.name,
            kernel=artifact(profile.kernel),
            initrds=tuple(artifact(ref) for ref in profile.initrds),
            dtb_policy=profile.dtb_policy,
            dtb=artifact(profile.dtb) if profile.dtb else None,
            command_line=profile.command_line,
            files=tuple(_payload_file(file) for file in files),
        ),
    )


def _payload_file(file: RenderedFile) -> PayloadFile:
    """Made for one node at this moment, so it has one address: the server itself."""
    sha256 = hashlib.sha256(file.content).hexdigest()
    return PayloadFile(file.path, Artifact((artifact_path(sha256),), len(file.content), sha256), file.mode)


def _wait(node: NodeFacts, refusal: _RefusedError) -> Plan:
    return Plan(
        node_id=node.node_id,
        boot_id=node.report.boot_id,
        token="",
        nonce=node.report.nonce,
        action=Action.WAIT,
        writes_disk=False,
        requires=(),
        valid_s=Profile.valid_s,
        fetch_deadline_s=Profile.fetch_deadline_s,
        payload_up_deadline_s=Profile.payload_up_deadline_s,
        watchdog=Watchdog.STOP,
        install_id=None,
        wait=Wait(refusal.reason, RETRY_AFTER_S[refusal.reason], refusal.text[:1000]),
    )
