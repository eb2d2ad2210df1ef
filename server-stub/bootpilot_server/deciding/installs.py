"""The life cycle of installs: what a node's installs, its mark and a person's orders make of what rules say. No I/O here.

An install id is wanted until it is done, given up or superseded; what is done never runs again. So there is no flag that a
lost call could leave set, and none that a late one could clear: `done`, and the mark on the disk, name the id that they mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from bootpilot_agent.local_boot import Otherwise
from bootpilot_server.deciding.decision import NodeFacts
from bootpilot_server.deciding.install_facts import (
    ADOPTED,
    AUTO,
    LOCAL,
    ORDER,
    RESCUE,
    RULE,
    InstallFacts,
    InstallState,
    automatic_install_id,
    rule_install_id,
)
from bootpilot_server.deciding.marks import own_marks
from bootpilot_server.deciding.recipes import Profile, Rule

# Install plans that may be taken by different boots for one id, for each attempt that is allowed: lost events make no loop.
TAKES_PER_ATTEMPT = 3


class Course(Enum):
    """What a node does next, as far as installs decide it."""

    RULES = "what the rule says"
    INSTALL = "install"
    LOCAL = "the installed system"
    PROFILE = "a named profile"
    HOLD = "wait for a person"


@dataclass(frozen=True)
class Step:
    """`install` is what is installed, started or given up; `profile` what is booted; `covers` an install that a rule wants
    and that counts as superseded, because what is on the disk came after it. `gives_up`: the install's state becomes failed.
    """

    course: Course
    text: str = ""
    install: InstallFacts | None = None
    profile: str = ""
    covers: InstallFacts | None = None
    gives_up: bool = False


@dataclass(frozen=True)
class Disk:
    """What the marks changed: installs that turn out to be done, the first one that the server does not know, or ""."""

    found: tuple[InstallFacts, ...] = ()
    adopts: str = ""


def look_at_disk(node: NodeFacts, rule: Rule | None, profiles: Mapping[str, Profile]) -> tuple[NodeFacts, Disk]:
    """The node as its own marks show it. An unknown install makes it adopted, but for the one that its rule wants."""
    shown = [mark.install_id for mark in own_marks(node)]
    installs = dict(node.installs)
    wanted = _wanted_by(node, rule, profiles)
    if node.approved and not node.adopted and wanted is not None and wanted.id in shown:
        installs.setdefault(wanted.id, wanted)
    found = {key: replace(installs[key], state=InstallState.DONE) for key in shown if _is_unfinished(installs.get(key))}
    installs |= found
    current = node.install and installs.get(node.install.id)
    if found and (current is None or current.state is InstallState.DONE):
        current = next(iter(found.values()))
    unknown = next((key for key in shown if key not in installs), "")
    if unknown:
        current = installs[unknown] = InstallFacts(unknown, ADOPTED, "", InstallState.DONE)
    seen = replace(node, installs=installs, install=current, adopted=node.adopted or bool(unknown))
    return seen, Disk(tuple(found.values()), unknown)


def step_before_rules(node: NodeFacts, rule: Rule | None, profiles: Mapping[str, Profile]) -> Step | None:
    """What stands before every rule: adoption and a person's orders. None if rules decide. `rule` is the one that would."""
    current = node.install
    if node.adopted:
        return replace(_started(node, current, profiles), covers=_cover(node, rule, profiles))
    if node.standing == LOCAL:
        return Step(Course.LOCAL, "its own disk, as ordered (`bootpilot node release` ends this)", current)
    if node.standing.startswith(RESCUE):
        profile = node.standing.removeprefix(RESCUE)
        return Step(
            Course.PROFILE, f"profile {profile} for rescue, as ordered (`bootpilot node release` ends this)", None, profile
        )
    if current is None or current.by_rule or current.state in (InstallState.DONE, InstallState.SUPERSEDED):
        return None
    return replace(_offered(node, current, profiles), covers=_cover(node, rule, profiles))


def step_by_rule(node: NodeFacts, rule: Rule, profiles: Mapping[str, Profile]) -> Step:
    """What the deciding rule comes to on this node."""
    current = node.install
    by_rule = _wanted_by(node, rule, profiles)
    if by_rule is None:
        outranks = current is not None and (current.origin == ORDER or current.is_automatic)
        return _by_order(_started(node, current, profiles)) if outranks else Step(Course.RULES, profile=rule.profile)
    wanted = node.installs.get(by_rule.id)
    if wanted is None:
        # Nobody knows which key the disk of an adopted node answers: the first one that is met counts as met.
        if current is not None and current.origin == ADOPTED and not _covered_since(node, current):
            return replace(_started(node, current, profiles), covers=replace(by_rule, state=InstallState.SUPERSEDED))
        return _offered(node, by_rule, profiles)
    if wanted.state is InstallState.DONE:
        return _started(node, current if current and current.state is InstallState.DONE else wanted, profiles)
    if wanted.state is InstallState.SUPERSEDED and not (current and current.by_rule):
        return _started(node, current, profiles)
    return _offered(node, replace(wanted, profile=rule.profile), profiles)


def step_without_rules(node: NodeFacts, profiles: Mapping[str, Profile]) -> Step | None:
    """An installed node that no rule matches any more goes on with what is on its disk."""
    done = [facts for facts in node.installs.values() if facts.state is InstallState.DONE]
    current = node.install if node.install in done else max(done, key=lambda facts: facts.wanted_at, default=None)
    return _started(node, current, profiles) if current is not None and node.approved else None


def objection_to(install: InstallFacts, most_attempts: int) -> str:
    """Why this install is not tried again, "" if it is."""
    if install.attempts < most_attempts and install.takes >= TAKES_PER_ATTEMPT * most_attempts:
        return f"was begun by {install.takes} boots, and none of them said that it is done"
    if install.state is InstallState.FAILED or install.attempts >= most_attempts:
        return f"failed {install.attempts} times" + (f", at last: {install.last_failure}" if install.last_failure else "")
    return ""


def _offered(node: NodeFacts, install: InstallFacts, profiles: Mapping[str, Profile]) -> Step:
    profile = profiles.get(install.profile)
    most = profile.attempts if profile else Profile.attempts
    if objection := objection_to(install, most):
        text = f"install {install.id} {objection}; `bootpilot node release {node.node_id}` tries again"
        return Step(Course.HOLD, text, install, gives_up=True)
    wanted = replace(install, state=InstallState.WANTED)
    return Step(
        Course.INSTALL, f"install {install.id} ({install.origin}) with profile {install.profile}", wanted, install.profile
    )


def _started(node: NodeFacts, install: InstallFacts | None, profiles: Mapping[str, Profile]) -> Step:
    """The installed system, or what becomes of a board whose disk does not boot: if it is adopted, a person looks."""
    profile = profiles.get(install.profile) if install else None
    recipe = profile.local if profile else Profile.local
    if install is None or install.local_failures < recipe.failures:
        text = f"install {install.id} is on its disk" if install else "what is on its disk"
        return Step(Course.LOCAL, text, install)
    broken = f"install {install.id} did not start from the disk {install.local_failures} times in a row: {install.last_failure}"
    otherwise = Otherwise.WAIT if node.adopted else recipe.otherwise
    if otherwise is Otherwise.RESCUE:
        return Step(Course.PROFILE, f"profile {recipe.rescue} for rescue: {broken}", install, recipe.rescue)
    if otherwise is Otherwise.REINSTALL and install.origin != ADOPTED:
        # By its origin, not by its id: that holds the id which the node had then, and it may have been merged since.
        again = any(facts.origin == AUTO + install.id for facts in node.installs.values())
        if not again and not install.is_automatic:
            made = InstallFacts(automatic_install_id(node.node_id, install.id), AUTO + install.id, install.profile)
            return replace(_offered(node, made, profiles), text=f"{broken}; installed once more as {made.id}")
        broken += "; it was installed once more already"
    return Step(Course.HOLD, f"{broken}; `bootpilot node release {node.node_id}` tries again, `reinstall` installs", install)


def _by_order(step: Step) -> Step:
    return replace(step, text=f"{step.text}, as ordered (`bootpilot node follow-rules` ends this)")


def _is_unfinished(install: InstallFacts | None) -> bool:
    return install is not None and install.state is not InstallState.DONE


def _wanted_by(node: NodeFacts, rule: Rule | None, profiles: Mapping[str, Profile]) -> InstallFacts | None:
    """The install that a rule wants, None for a rule that installs nothing. Whatever writes a disk has a key: without one of
    the rule's (a node's own profile) it is the profile's name. What the key meant under an id that the node had before it was
    merged is the same install, and done if it is done under one of them.
    """
    if rule is None or rule.profile not in profiles or not profiles[rule.profile].writes_disk:
        return None
    key = rule.install or f"profile:{rule.profile}"
    ids = [rule_install_id(node_id, key) for node_id in (node.node_id, *sorted(node.former_ids))]
    known = [install_id for install_id in ids if install_id in node.installs]
    done = [install_id for install_id in known if node.installs[install_id].state is InstallState.DONE]
    return InstallFacts((done + known + ids)[0], RULE + key, rule.profile)


def _cover(node: NodeFacts, rule: Rule | None, profiles: Mapping[str, Profile]) -> InstallFacts | None:
    """What the rule wants counts as superseded by what was ordered, or found, after it."""
    wanted = _wanted_by(node, rule, profiles)
    return replace(wanted, state=InstallState.SUPERSEDED) if wanted and wanted.id not in node.installs else None


def _covered_since(node: NodeFacts, current: InstallFacts) -> bool:
    rows = (facts for facts in node.installs.values() if facts.by_rule and facts.state is InstallState.SUPERSEDED)
    return any(facts.wanted_at >= current.wanted_at for facts in rows)
