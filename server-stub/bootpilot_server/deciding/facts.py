"""What selectors may look at: the names of the facts, and their values for one node. No I/O here.

How a board is doing is no fact: a decision must not depend on what became of the decision before it.
"""

import difflib
import re
from collections.abc import Iterable, Mapping

from bootpilot_agent.evidence import Evidence, EvidenceKind
from bootpilot_agent.plan import ARCHITECTURES, Report

MIB = 1 << 20
GB = 10**9

# Facts of which a node has one value at most; of the others it may have several, and one that fits is enough.
NUMBER_FACTS = ("memory_mib", "cpus", "disks", "disk_gb")
SINGLE_FACTS = (
    "node",
    "name",
    "arch",
    "model",
    "simulated",
    "loader",
    "kexec-works",
    "lockdown",
    "enable-method",
    "cpu-hotplug",
)
MANY_FACTS = ("compatible", "feature", "kexec", *(kind.value for kind in EvidenceKind))
FACTS = SINGLE_FACTS + NUMBER_FACTS + MANY_FACTS

TRUE_OR_FALSE = ("true", "false")
# Facts of which every value is known: a pattern that fits none of them is a slip of the pen.
CLOSED_FACTS: Mapping[str, tuple[str, ...]] = {
    "arch": ARCHITECTURES,
    "simulated": TRUE_OR_FALSE,
    "kexec-works": TRUE_OR_FALSE,
    "cpu-hotplug": TRUE_OR_FALSE,
    "kexec": ("load", "file-load"),
}

# Labels are what operators say of a node; one fact for each key.
LABEL = "label."
LABEL_KEY_PATTERN = r"[a-z0-9][a-z0-9_-]{0,62}"

Facts = Mapping[str, tuple[str, ...]]


def facts_of(
    node_id: str,
    report: Report | None,
    *,
    name: str = "",
    labels: Mapping[str, str] | None = None,
    evidence: Iterable[Evidence] = (),
) -> dict[str, tuple[str, ...]]:
    """Every fact that is known, by name. `evidence` is that of a node which was announced and has never reported."""
    facts: dict[str, tuple[str, ...]] = {"node": (node_id,), "name": (name,) if name else ()}
    facts |= {LABEL + key: (value,) for key, value in (labels or {}).items()}
    shown = report.evidence if report else tuple(evidence)
    for kind in EvidenceKind:
        facts[kind.value] = tuple(piece.value for piece in shown if piece.kind is kind)
    return facts | (_reported(report) if report else {})


def _reported(report: Report) -> dict[str, tuple[str, ...]]:
    inventory = report.inventory
    cpu, kexec = inventory.cpu, inventory.kexec
    disks = [disk.size_bytes for disk in inventory.disks if not disk.boot_medium]
    return {
        "arch": (report.arch,),
        "model": (inventory.board.model,),
        "simulated": (_word(report.simulated),),
        "compatible": inventory.board.compatible,
        "feature": report.features,
        "loader": (report.build_id,),
        "kexec-works": (_word(not kexec.objection),),
        "kexec": tuple(call for call, is_there in (("load", kexec.load), ("file-load", kexec.file_load)) if is_there),
        "lockdown": (kexec.lockdown,) if kexec.lockdown else (),
        "enable-method": (cpu.enable_method,) if cpu.enable_method else (),
        # A loader that runs on one CPU (nr_cpus=1) cannot tell.
        "cpu-hotplug": () if cpu.hotplug is None else (_word(cpu.hotplug),),
        "memory_mib": (str(inventory.memory_bytes // MIB),),
        "cpus": (str(cpu.possible),),
        # The card is no disk: nothing may ever be written there.
        "disks": (str(len(disks)),),
        "disk_gb": (str(max(disks, default=0) // GB),),
    }


def is_label(fact: str) -> bool:
    return fact.startswith(LABEL)


def fact_fault(fact: str) -> str:
    """What is wrong with the name of a fact, with the nearest that there is; "" if nothing."""
    if is_label(fact):
        if re.fullmatch(LABEL_KEY_PATTERN, fact.removeprefix(LABEL)):
            return ""
        return f"a label's key is lower-case letters, digits, _ and -, got {fact.removeprefix(LABEL)!r}"
    if fact in FACTS:
        return ""
    near = difflib.get_close_matches(fact, FACTS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(FACTS)}"
    return f"there is no fact {fact!r}; {hint}" + (f" (a label is written label.{fact})" if _could_be_key(fact) else "")


def _could_be_key(fact: str) -> bool:
    return re.fullmatch(LABEL_KEY_PATTERN, fact) is not None


def _word(value: bool) -> str:
    return "true" if value else "false"
