"""Whether a rule selects a node, and whether two rules could select the same one. No I/O here.

Patterns know `*` and `?` and nothing else, and are compared without regard to case: a model name may hold brackets.
"""

import re
from collections.abc import Mapping
from functools import cache, lru_cache

from bootpilot_agent.evidence import EvidenceKind
from bootpilot_agent.plan import Report
from bootpilot_server.deciding.recipes import Rule

MIB = 1 << 20

# Facts of which a node has exactly one value; of the others it may have several, and one that fits is enough.
SINGLE_FACTS = ("node", "arch", "model", "simulated", "loader", "kexec-works", "lockdown", "enable-method", "cpu-hotplug")
MANY_FACTS = ("compatible", "feature", "kexec", *(kind.value for kind in EvidenceKind))
FACTS = SINGLE_FACTS + MANY_FACTS

Facts = Mapping[str, tuple[str, ...]]


def facts_of(node_id: str, report: Report) -> dict[str, tuple[str, ...]]:
    """What rules may look at, by name."""
    cpu, kexec = report.inventory.cpu, report.inventory.kexec
    facts: dict[str, tuple[str, ...]] = {
        "node": (node_id,),
        "arch": (report.arch,),
        "model": (report.inventory.board.model,),
        "simulated": ("true" if report.simulated else "false",),
        "compatible": report.inventory.board.compatible,
        "feature": report.features,
        "loader": (report.build_id,),
        "kexec-works": ("false" if kexec.objection else "true",),
        "kexec": tuple(call for call, is_there in (("load", kexec.load), ("file-load", kexec.file_load)) if is_there),
        "lockdown": (kexec.lockdown,) if kexec.lockdown else (),
        "enable-method": (cpu.enable_method,) if cpu.enable_method else (),
        # A loader that runs on one CPU (nr_cpus=1) cannot tell.
        "cpu-hotplug": () if cpu.hotplug is None else ("true" if cpu.hotplug else "false",),
    }
    for kind in EvidenceKind:
        facts[kind.value] = tuple(piece.value for piece in report.evidence if piece.kind is kind)
    return facts


def why_not(rule: Rule, facts: Facts, report: Report) -> str:
    """The first condition that fails, as a phrase for a person; "" if the rule selects the node."""
    for condition in rule.conditions:
        values = facts.get(condition.fact, ())
        if not any(fits(pattern, value) for pattern in condition.patterns for value in values):
            shown = " or ".join(repr(pattern) for pattern in condition.patterns)
            return f"{condition.fact} is {', '.join(map(repr, values)) or 'not known'}, the rule wants {shown}"
    memory_mib, cpus = report.inventory.memory_bytes // MIB, report.inventory.cpu.possible
    if memory_mib < rule.memory_at_least_mib:
        return f"memory is {memory_mib} MiB, the rule wants at least {rule.memory_at_least_mib}"
    if cpus < rule.cpus_at_least:
        return f"it has {cpus} CPUs, the rule wants at least {rule.cpus_at_least}"
    return ""


def fits(pattern: str, value: str) -> bool:
    return _compiled(pattern).fullmatch(value) is not None


def could_meet(one: Rule, other: Rule) -> bool:
    """True if some board could be selected by both, as far as facts with a single value tell.

    Facts with several values never prove anything: a board may have both. Such rules are taken as apart if they look at the
    same fact for different values, because that is what their author meant; decide() still refuses the board that has both.
    """
    for mine in one.conditions:
        for theirs in other.conditions:
            if mine.fact == theirs.fact and not any(_intersect(a, b) for a in mine.patterns for b in theirs.patterns):
                return False
    return True


def _intersect(one: str, other: str) -> bool:
    """True if some text fits both patterns."""

    @cache
    def meet(i: int, j: int) -> bool:
        if i == len(a) or j == len(b):
            return set(a[i:] + b[j:]) <= {"*"}
        if a[i] == "*":
            return meet(i + 1, j) or meet(i, j + 1)
        if b[j] == "*":
            return meet(i, j + 1) or meet(i + 1, j)
        return (a[i] == b[j] or "?" in (a[i], b[j])) and meet(i + 1, j + 1)

    a, b = one.lower(), other.lower()
    return meet(0, 0)


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    marks = {"*": ".*", "?": "."}
    return re.compile("".join(marks.get(char) or re.escape(char) for char in pattern), re.IGNORECASE | re.DOTALL)
