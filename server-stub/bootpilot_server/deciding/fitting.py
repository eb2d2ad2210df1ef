"""Whether a profile can be given to a node: every objection there may be, else its files, rendered. No I/O here."""

from bootpilot_agent.evidence import Grade
from bootpilot_agent.fields import FieldError
from bootpilot_agent.plan import check_command_line
from bootpilot_server.deciding.decision import Catalogue, NodeFacts, RefusedError, WaitReason
from bootpilot_server.deciding.drafts import required_features
from bootpilot_server.deciding.recipes import ArtifactRef, Profile
from bootpilot_server.deciding.rendering import RenderedFile, RenderError, node_context, render_file


def fit_profile(node: NodeFacts, profile: Profile, artifacts: Catalogue) -> tuple[RenderedFile, ...]:
    """Every objection to giving this profile to this node, else its rendered files. Raises RefusedError."""
    report = node.report
    _refuse_disk_writer(node, profile)
    if profile.arch and profile.arch != report.arch:
        raise RefusedError(
            WaitReason.NO_USABLE_PLAN, f"profile {profile.name} is for {profile.arch}, this board is {report.arch}"
        )
    missing = [feature for feature in required_features(profile, report.arch) if feature not in report.features]
    if missing:
        raise RefusedError(
            WaitReason.CAPABILITY, f"profile {profile.name} needs {', '.join(missing)}, which this loader does not offer"
        )
    if objection := report.inventory.kexec.objection:
        raise RefusedError(WaitReason.CAPABILITY, objection)
    for ref in profile.artifacts:
        _refuse_artifact(profile, ref, artifacts)
    kernel_arch = artifacts.stored[profile.kernel.sha256].kernel_arch
    if kernel_arch not in ("", report.arch):
        raise RefusedError(
            WaitReason.NO_USABLE_PLAN, f"the kernel of profile {profile.name} is for {kernel_arch}, this board is {report.arch}"
        )
    try:
        check_command_line(profile.command_line, report.arch)
        context = node_context(node.node_id, report, profile.name)
        return tuple(render_file(recipe, context) for recipe in profile.files)
    except FieldError as error:
        raise RefusedError(WaitReason.NO_USABLE_PLAN, f"profile {profile.name}: {error}") from error
    except RenderError as error:
        raise RefusedError(WaitReason.RENDER_ERROR, f"profile {profile.name}: {error}") from error


def _refuse_disk_writer(node: NodeFacts, profile: Profile) -> None:
    """`admit` lets a board in, but no rule alone lets it write: that takes a person's word for this board."""
    if profile.writes_disk and not node.approved:
        known = "" if node.known_by is Grade.STRONG else f", and known only by {node.known_by.name.lower()} evidence"
        raise RefusedError(
            WaitReason.NOT_APPROVED, f"profile {profile.name} writes a disk; this board is not approved by name{known}"
        )


def _refuse_artifact(profile: Profile, ref: ArtifactRef, artifacts: Catalogue) -> None:
    found = artifacts.stored.get(ref.sha256)
    if found is None:
        raise RefusedError(
            WaitReason.NO_USABLE_PLAN, f"profile {profile.name}: artifact {ref.name or ref.sha256} is not on the server"
        )
    if ref.size_bytes and ref.size_bytes != found.size_bytes:
        text = f"artifact {ref.name or ref.sha256} has {found.size_bytes} bytes instead of {ref.size_bytes}"
        raise RefusedError(WaitReason.NO_USABLE_PLAN, f"profile {profile.name}: {text}")
