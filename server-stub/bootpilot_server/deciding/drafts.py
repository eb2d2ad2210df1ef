"""Plans but for their token: a profile made concrete for one node, or a wait. No I/O here."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from bootpilot_agent.local_boot import Find, LocalBoot
from bootpilot_agent.plan import Action, Artifact, BootPayload, DtbPolicy, PayloadFile, Plan, Report, Wait, Watchdog
from bootpilot_server.deciding.decision import Catalogue, NodeFacts, RefusedError, WaitReason, artifact_path, secret_file_path
from bootpilot_server.deciding.recipes import ArtifactRef, Profile
from bootpilot_server.deciding.rendering import RenderedFile

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
# The feature of an agent that finds marks, and reports them.
MARK = "mark"
RECORD = "record"
# PCs have ACPI; there is no device tree that their payload could get or miss.
WITHOUT_DEVICE_TREE = frozenset({"amd64"})


def required_features(profile: Profile, arch: str) -> tuple[str, ...]:
    """What the agent must be able to do; it refuses a plan whose `requires` it does not know."""
    tree = () if arch in WITHOUT_DEVICE_TREE and profile.dtb_policy is DtbPolicy.RUNNING else (f"dtb:{profile.dtb_policy}",)
    # Whoever installs must be able to tell of it afterwards, and to start what was installed; the order is a file.
    disk = local_features(Find.MARK) if profile.writes_disk else ()
    disk += ("files",) if profile.install else ()
    return tuple(dict.fromkeys((Action.BOOT.value, *tree, *disk, *profile.requires)))


def draft_boot(
    node: NodeFacts,
    profile: Profile,
    files: Iterable[RenderedFile],
    artifacts: Catalogue,
    *,
    loader: str = "",
    install_id: str | None = None,
) -> Plan:
    """`loader` is the build id if this profile is a newer loader, `install_id` what it installs."""

    def artifact(ref: ArtifactRef) -> Artifact:
        return Artifact(artifacts.urls(ref.sha256), artifacts.stored[ref.sha256].size_bytes, ref.sha256, ref.unpacked_bytes)

    return Plan(
        node_id=node.node_id,
        boot_id=node.report.boot_id,
        token="",
        nonce=node.report.nonce,
        action=Action.BOOT,
        writes_disk=profile.writes_disk,
        requires=required_features(profile, node.report.arch),
        valid_s=profile.valid_s,
        fetch_deadline_s=profile.fetch_deadline_s,
        payload_up_deadline_s=profile.payload_up_deadline_s,
        watchdog=profile.watchdog,
        install_id=install_id,
        done_deadline_s=profile.done_deadline_s if install_id else None,
        # Wished for, not required: an older loader boots all the same.
        record=profile.record and RECORD in node.report.features,
        boot=BootPayload(
            profile=profile.name,
            kernel=artifact(profile.kernel),
            initrds=tuple(artifact(ref) for ref in profile.initrds),
            dtb_policy=profile.dtb_policy,
            dtb=artifact(profile.dtb) if profile.dtb else None,
            command_line=profile.command_line,
            files=tuple(_payload_file(file, node.report) for file in files),
            loader=loader,
            dtb_overlays=tuple(artifact(ref) for ref in profile.dtb_overlays),
        ),
    )


def _payload_file(file: RenderedFile, report: Report) -> PayloadFile:
    """Made for one node at this moment, so it has one address: the server itself."""
    sha256 = hashlib.sha256(file.content).hexdigest()
    url = secret_file_path(report.boot_id, secret_file_name(file, report.nonce)) if file.secret else artifact_path(sha256)
    return PayloadFile(file.path, Artifact((url,), len(file.content), sha256), file.mode)


def secret_file_name(file: RenderedFile, nonce: str) -> str:
    """By which a file with a secret is fetched: nothing can be learned from it, for nobody else knows the nonce."""
    return hashlib.sha256(f"{nonce} {file.path}".encode()).hexdigest()[:32]


def draft_wait(node: NodeFacts, refusal: RefusedError) -> Plan:
    wait = Wait(refusal.reason, refusal.retry_after_s or RETRY_AFTER_S[refusal.reason], refusal.text[:1000])
    return replace(_draft(node, Action.WAIT), wait=wait)


def draft_local(node: NodeFacts, local: LocalBoot, install_id: str | None) -> Plan:
    """`install_id` is what is expected on the disk, None where that is not known."""
    return replace(_draft(node, Action.LOCAL), requires=local_features(local.find), install_id=install_id, local=local)


def draft_order(node: NodeFacts, action: Action) -> Plan:
    return _draft(node, action)


def local_features(find: Find) -> tuple[str, ...]:
    """What an agent must be able to do to start a system from its disk."""
    return (Action.LOCAL.value, MARK) if find is Find.MARK else (Action.LOCAL.value,)


def _draft(node: NodeFacts, action: Action) -> Plan:
    """What every plan without a payload has in common."""
    return Plan(
        node_id=node.node_id,
        boot_id=node.report.boot_id,
        token="",
        nonce=node.report.nonce,
        action=action,
        writes_disk=False,
        requires=(),
        valid_s=Profile.valid_s,
        fetch_deadline_s=Profile.fetch_deadline_s,
        payload_up_deadline_s=Profile.payload_up_deadline_s,
        watchdog=Watchdog.STOP,
        install_id=None,
    )
