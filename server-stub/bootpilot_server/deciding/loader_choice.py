"""Whether a node gets a newer loader before its payload. No I/O here.

A card is written once, so every boot starts with the card's loader; the newer one comes after it, over the network, each time.
That must never become a loop, nor cost a board its payload: a loader that failed too often on a node is not offered to it
any more.
"""

from collections.abc import Sequence
from dataclasses import replace

from bootpilot_agent.plan import MAX_LOADERS
from bootpilot_server.deciding.decision import Catalogue, Decision, LoaderTries, NodeFacts, RefusedError, WaitReason
from bootpilot_server.deciding.drafts import draft_boot
from bootpilot_server.deciding.facts import Facts, facts_of
from bootpilot_server.deciding.fitting import fit_profile
from bootpilot_server.deciding.recipes import Loader, Offer
from bootpilot_server.deciding.selection import why_not

# A board that may not boot anything yet, or that is not known for certain, gets no other loader either.
FIRST_OF_ALL = (WaitReason.CONFLICT, WaitReason.NOT_APPROVED, WaitReason.ON_HOLD)


def with_newer_loader(node: NodeFacts, loaders: Sequence[Loader], artifacts: Catalogue, told: Decision) -> Decision:
    """The decision, or that a newer loader comes first; `why` says which, and why not."""
    if not loaders or (told.plan.wait is not None and told.plan.wait.reason in FIRST_OF_ALL):
        return told
    # Orders are given once; an adopted node gets what is on its disk and nothing else.
    if told.changes.spends or told.changes.adopts or node.adopted:
        return told
    loader, why = _choose(node, loaders, facts_of(node.node_id, node.report, name=node.name, labels=node.labels))
    if loader is not None and not (objection := _objection(node, loader, told)):
        try:
            files = fit_profile(node, loader.payload, artifacts)
        except RefusedError as refusal:
            objection = refusal.text
        else:
            plan = draft_boot(node, loader.payload, files, artifacts, loader=loader.build)
            first = f"loader {loader.name} first (build {loader.build}; this board runs {node.report.build_id})"
            after = f"afterwards: {told.why[0]}"
            return Decision(
                plan,
                (first, after, *why, *told.why[1:]),
                told.rule,
                loader.payload.name,
                decided_at_s=told.decided_at_s,
                changes=replace(told.changes, begins=None),
            )
    if loader is not None:
        why = (f"loader {loader.name} (build {loader.build}) is not offered: {objection}", *why)
    return replace(told, why=(told.why[0], *why, *told.why[1:]))


def _choose(node: NodeFacts, loaders: Sequence[Loader], facts: Facts) -> tuple[Loader | None, tuple[str, ...]]:
    """The loader for this board, and why others of its architecture are not."""
    why, matching = [], list[Loader]()
    own = [loader for loader in loaders if loader.payload.arch == node.report.arch]
    for loader in sorted(own, key=lambda loader: (-loader.selector.priority, loader.name)):
        if objection := why_not(loader.selector.conditions, facts):
            why.append(f"loader {loader.name} lost: {objection}")
        else:
            matching.append(loader)
    equal = [loader for loader in matching if loader.selector.priority == matching[0].selector.priority]
    if len({loader.build for loader in equal}) > 1:
        names = ", ".join(loader.name for loader in equal)
        return None, (f"loaders {names} have one priority and all match: none of them is offered", *why)
    return (matching[0] if matching else None), tuple(why)


def _objection(node: NodeFacts, loader: Loader, told: Decision) -> str:
    chain = node.loader_builds
    if loader.build == chain[-1]:
        return "it is what this board runs"
    if loader.build in chain:
        return f"it ran before the one that runs now ({' -> '.join(chain)})"
    if len(chain) >= MAX_LOADERS:
        return f"{len(chain)} loaders ran in a row already ({' -> '.join(chain)})"
    if loader.offer is Offer.NEEDED and not told.lacks:
        return "this board's loader can do what its profile needs"
    if objection := node.loader_tries.get(loader.build, LoaderTries()).objection:
        return f"{objection}; `bootpilot node retry-loader {node.node_id}` offers it again"
    return ""
