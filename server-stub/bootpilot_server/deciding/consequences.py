"""What another revision would change: each node's decision under both, compared and counted. No I/O here.

Files are not rendered for this: a secret must not be fetched for a preview, and 20 000 templates take a while. A profile whose
files changed counts as changed.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from bootpilot_agent.plan import Action
from bootpilot_server.deciding.decide import decide
from bootpilot_server.deciding.decision import Catalogue, Decision, NodeFacts
from bootpilot_server.deciding.recipes import FileRecipe, Profile, Revision, Template
from bootpilot_server.deciding.rendering import template_closure

# Node ids that are named as examples of one kind of change.
MAX_EXAMPLES = 3


@dataclass(frozen=True, order=True)
class Change:
    """One kind of change: what nodes get now and then, in words, by which rule, and whether their disks are written."""

    before: str
    after: str
    rule: str
    installs: bool
    waits: bool


@dataclass
class Consequences:
    """How many nodes there are, how many would change in which way, and a few of each. The rest goes on as it is."""

    total: int = 0
    changes: Counter[Change] = field(default_factory=Counter)
    examples: dict[Change, list[str]] = field(default_factory=dict)

    @property
    def changed(self) -> int:
        return self.changes.total()

    @property
    def installed(self) -> int:
        return sum(count for change, count in self.changes.items() if change.installs)

    @property
    def waiting(self) -> int:
        """Those that would wait and do not wait now."""
        return sum(count for change, count in self.changes.items() if change.waits)

    def add(self, node_id: str, change: Change | None) -> None:
        self.total += 1
        if change is None:
            return
        self.changes[change] += 1
        examples = self.examples.setdefault(change, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append(node_id)


def consequences_of(
    nodes: Iterable[NodeFacts], before: Revision, after: Revision, artifacts: Catalogue, now: float
) -> Consequences:
    """What becomes of these nodes when `after` takes the place of `before`, if each of them asked now."""
    changed = _changed_recipes(before, after)
    old, new = _without_files(before), _without_files(after)
    found = Consequences()
    for node in nodes:
        now_gets, then_gets = decide(node, old, artifacts, now), decide(node, new, artifacts, now)
        found.add(node.node_id, change_between(now_gets, then_gets, changed))
    return found


def change_between(before: Decision, after: Decision, changed: frozenset[str] = frozenset()) -> Change | None:
    """None if the node would notice nothing. `changed`: profiles of one name that are not what they were."""
    one, two = before.plan, after.plan
    is_other = _gets(before) != _gets(after) or one.writes_disk != two.writes_disk or one.install_id != two.install_id
    is_remade = two.boot is not None and two.boot.profile in changed
    if not (is_other or is_remade):
        return None
    return Change(
        before=_gets(before),
        after=_gets(after) + (" (changed)" if not is_other else ""),
        rule=after.rule,
        installs=two.writes_disk and (not one.writes_disk or one.install_id != two.install_id),
        waits=two.action is Action.WAIT and one.action is not Action.WAIT,
    )


def _gets(decision: Decision) -> str:
    plan = decision.plan
    if plan.wait is not None:
        return f"wait ({plan.wait.reason})"
    if plan.boot is not None:
        return plan.boot.profile
    return "its own disk" if plan.action is Action.LOCAL else plan.action.value


def _changed_recipes(before: Revision, after: Revision) -> frozenset[str]:
    old = {payload.name: _essence(payload) for payload in before.payloads().values()}
    new = {payload.name: _essence(payload) for payload in after.payloads().values()}
    return frozenset(name for name in old.keys() & new.keys() if old[name] != new[name])


def _essence(profile: Profile) -> Profile:
    """The profile with those templates only that it uses: another one's change is not its own."""
    install = profile.install.map_templates(_template_essence) if profile.install else None
    return replace(profile, files=tuple(_file_essence(file) for file in profile.files), install=install)


def _file_essence(file: FileRecipe) -> FileRecipe:
    source = file.source
    return replace(file, source=_template_essence(source)) if isinstance(source, Template) else file


def _template_essence(template: Template) -> Template:
    return replace(template, library=template_closure(template))


def _without_files(revision: Revision) -> Revision:
    profiles = {name: replace(profile, files=(), install=None) for name, profile in revision.profiles.items()}
    loaders = tuple(replace(loader, payload=replace(loader.payload, files=())) for loader in revision.loaders)
    return replace(revision, profiles=profiles, loaders=loaders)
