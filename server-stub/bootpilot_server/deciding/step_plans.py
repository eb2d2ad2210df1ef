"""A step of a node's life cycle as a plan that this node can carry out. No I/O here."""

from dataclasses import dataclass, field, replace

from bootpilot_agent.local_boot import Find, LocalBoot
from bootpilot_agent.plan import Plan
from bootpilot_server.deciding.decision import Catalogue, InstallChanges, NodeFacts, RefusedError, WaitReason
from bootpilot_server.deciding.drafts import draft_boot, draft_local, draft_order, draft_wait
from bootpilot_server.deciding.fitting import fit_local, fit_profile
from bootpilot_server.deciding.install_facts import InstallFacts
from bootpilot_server.deciding.installs import Course, Step, step_by_rule
from bootpilot_server.deciding.marks import own_marks
from bootpilot_server.deciding.recipes import Expects, LocalRecipe, Profile, Revision, Rule
from bootpilot_server.deciding.rendering import RenderedFile


@dataclass(frozen=True)
class Outcome:
    """A plan, the reason for it, and what goes with it. The fields are those of Decision."""

    plan: Plan
    reason: str
    profile: str = ""
    expects: Expects = Expects.NONE
    files: tuple[RenderedFile, ...] = ()
    changes: InstallChanges = field(default_factory=InstallChanges)


def plan_step(node: NodeFacts, step: Step, revision: Revision, artifacts: Catalogue) -> Outcome:
    """Raises RefusedError where this node cannot have what the step says."""
    if step.course is Course.HOLD:
        gives_up = step.install.id if step.install and step.gives_up else ""
        changes = InstallChanges(gives_up=gives_up, covers=step.covers)
        return Outcome(draft_wait(node, RefusedError(WaitReason.ON_HOLD, step.text)), step.text, changes=changes)
    if step.course is Course.LOCAL:
        return _plan_local(node, step, revision)
    try:
        return _plan_profile(node, step, revision, artifacts)
    except RefusedError as refusal:
        whole = _whole_system(node)
        if step.course is not Course.INSTALL or refusal.reason is not WaitReason.NO_USABLE_PLAN or whole is None:
            raise
        # A fault of the server's folder, not of the board: it does not keep a healthy disk down.
        meanwhile = Step(Course.LOCAL, f"its disk, because {refusal.text}", whole, covers=step.covers)
        return _plan_local(node, meanwhile, revision)


def _plan_profile(node: NodeFacts, step: Step, revision: Revision, artifacts: Catalogue) -> Outcome:
    profile = _find_profile(step, revision)
    installs = step.install if step.course is Course.INSTALL else None
    files = fit_profile(node, profile, artifacts)
    plan = draft_boot(node, profile, files, artifacts, install_id=installs.id if installs else None)
    changes = InstallChanges(begins=installs, covers=step.covers)
    return Outcome(plan, step.text or f"profile {profile.name}", profile.name, profile.expects, files, changes)


def plan_rule(node: NodeFacts, rule: Rule, revision: Revision, artifacts: Catalogue) -> Outcome:
    """What a rule comes to on this node, with the rule named in the reason. Raises RefusedError."""
    if rule.profile not in revision.profiles:
        text = f"its own profile {rule.profile} is not in revision {revision.number}; `bootpilot apply` adds it, or"
        raise RefusedError(WaitReason.NO_USABLE_PLAN, f"{text} `bootpilot node profile` gives the node another")
    outcome = plan_step(node, step_by_rule(node, rule, revision.profiles), revision, artifacts)
    return replace(outcome, reason=f"{outcome.reason} by {rule.told}")


def plan_order(node: NodeFacts) -> Outcome | None:
    """The reboot or poweroff that a person ordered; None if there is no order, or this agent cannot."""
    if node.order is None or node.order.action not in node.report.features:
        return None
    reason = f"{node.order.action} as ordered (order {node.order.id})"
    return Outcome(draft_order(node, node.order.action), reason, changes=InstallChanges(spends=node.order.id))


def plan_own_boot(node: NodeFacts) -> Outcome:
    """What the board has done already, in the form of a plan that nobody carries out."""
    install = _whole_system(node)
    local = LocalBoot(Find.MARK if own_marks(node) else Find.LOOKING, profile=install.profile if install else "")
    what = f"install {install.id}" if install else "what is on its disk"
    reason = f"started {what} by itself: no server had answered it"
    return Outcome(draft_local(node, local, install.id if install else None), reason, local.profile)


def _plan_local(node: NodeFacts, step: Step, revision: Revision) -> Outcome:
    recipe = _local_recipe(node, step, revision)
    fit_local(node, recipe)
    name = step.install.profile if step.install else ""
    local = LocalBoot(recipe.find, recipe.partition, name, recipe.otherwise, recipe.failures)
    plan = draft_local(node, local, step.install.id if step.install else None)
    return Outcome(plan, f"local: {step.text}", name, recipe.expects, changes=InstallChanges(covers=step.covers))


def _whole_system(node: NodeFacts) -> InstallFacts | None:
    """The install whose mark, written last of all, is on this board's disk."""
    return next((node.installs[mark.install_id] for mark in own_marks(node) if mark.install_id in node.installs), None)


def _local_recipe(node: NodeFacts, step: Step, revision: Revision) -> LocalRecipe:
    """Of a system that nobody installed from here, all that can be known is whether there is a mark."""
    if step.install is None:
        return LocalRecipe(find=Find.MARK if own_marks(node) else Find.LOOKING)
    profile = revision.profiles.get(step.install.profile)
    return profile.local if profile else LocalRecipe()


def _find_profile(step: Step, revision: Revision) -> Profile:
    profile = revision.profiles.get(step.profile)
    if profile is None:
        text = f"profile {step.profile or '(none)'} is wanted here, and revision {revision.number} has no such profile"
        raise RefusedError(WaitReason.NO_USABLE_PLAN, text)
    if step.course is Course.PROFILE and profile.writes_disk:
        raise RefusedError(WaitReason.NO_USABLE_PLAN, f"profile {profile.name} writes a disk, so it is no rescue")
    return profile
