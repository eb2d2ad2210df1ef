"""Whether a profile can be given to a node: every objection there may be, else its files, rendered. No I/O here."""

from bootpilot_agent.fields import FieldError
from bootpilot_agent.plan import check_command_line
from bootpilot_server.deciding.approval import writing_objection
from bootpilot_server.deciding.decision import Catalogue, NodeFacts, RefusedError, WaitReason
from bootpilot_server.deciding.drafts import local_features, required_features
from bootpilot_server.deciding.install_rendering import render_order
from bootpilot_server.deciding.recipes import ArtifactRef, LocalRecipe, Profile
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
        return render_files(node, profile, artifacts)
    except FieldError as error:
        raise RefusedError(WaitReason.NO_USABLE_PLAN, f"profile {profile.name}: {error}") from error
    except RenderError as error:
        raise RefusedError(WaitReason.RENDER_ERROR, f"profile {profile.name}: {error}") from error


def render_files(node: NodeFacts, profile: Profile, artifacts: Catalogue) -> tuple[RenderedFile, ...]:
    """The profile's files for this node, and its order for the installer. Raises RenderError, SecretsWantedError."""
    if not profile.files and profile.install is None:
        return ()
    context = node_context(
        node.node_id,
        node.report,
        profile.name,
        name=node.name,
        labels=node.labels,
        static_address=node.static_address,
        settings=profile.settings,
    )
    files = tuple(render_file(recipe, context, artifacts.secrets) for recipe in profile.files)
    return files + ((render_order(profile.install, context, artifacts),) if profile.install else ())


def fit_local(node: NodeFacts, recipe: LocalRecipe) -> None:
    """Every objection to this board's starting what is on its disk. Raises RefusedError."""
    missing = [feature for feature in local_features(recipe.find) if feature not in node.report.features]
    if missing:
        text = f"it would start from its disk, which needs {', '.join(missing)}; this loader does not offer that"
        raise RefusedError(WaitReason.CAPABILITY, text)
    if objection := node.report.inventory.kexec.objection:
        raise RefusedError(WaitReason.CAPABILITY, objection)


def _refuse_disk_writer(node: NodeFacts, profile: Profile) -> None:
    """`admit` alone lets a board in, but does not let it write."""
    if profile.writes_disk and (objection := writing_objection(node)):
        raise RefusedError(WaitReason.NOT_APPROVED, f"profile {profile.name} writes a disk; {objection}")


def _refuse_artifact(profile: Profile, ref: ArtifactRef, artifacts: Catalogue) -> None:
    found = artifacts.stored.get(ref.sha256)
    if found is None:
        raise RefusedError(
            WaitReason.NO_USABLE_PLAN, f"profile {profile.name}: artifact {ref.name or ref.sha256} is not on the server"
        )
    if ref.size_bytes and ref.size_bytes != found.size_bytes:
        text = f"artifact {ref.name or ref.sha256} has {found.size_bytes} bytes instead of {ref.size_bytes}"
        raise RefusedError(WaitReason.NO_USABLE_PLAN, f"profile {profile.name}: {text}")
