"""How a preview of changes looks, to people and to programs. No I/O here."""

from bootpilot_agent.fields import Json
from bootpilot_server.deciding.consequences import Consequences
from bootpilot_server.deciding.rendering import one_line

MAX_SHOWN = 30


def consequences_text(found: Consequences) -> str:
    """Most nodes first, one line for each kind of change, and the sums."""
    if not found.total:
        return "no node has reported yet"
    lines = [f"{found.changed} of {found.total} nodes get another plan at their next boot"]
    kinds = found.changes.most_common()
    for change, count in kinds[:MAX_SHOWN]:
        by = f"  by rule {change.rule}" if change.rule else ""
        examples = found.examples[change]
        named = ", ".join(examples) + (", ..." if count > len(examples) else "")
        writes = "  WRITES A DISK" if change.installs else ""
        lines.append(one_line(f"  {count:6}  {change.before} -> {change.after}{by}{writes}  ({named})"))
    if len(kinds) > MAX_SHOWN:
        lines.append(f"  and {len(kinds) - MAX_SHOWN} other kinds of change")
    if found.installed:
        lines.append(f"{found.installed} nodes would be installed: what is on their disks is overwritten")
    if found.waiting:
        lines.append(f"{found.waiting} nodes that have a plan now would wait")
    return "\n".join(lines)


def consequences_json(found: Consequences) -> dict[str, Json]:
    kinds: list[Json] = [
        {
            "count": count,
            "from": change.before,
            "to": change.after,
            "rule": change.rule,
            "installs": change.installs,
            "waits": change.waits,
            "examples": [*found.examples[change]],
        }
        for change, count in found.changes.most_common()
    ]
    sums: dict[str, Json] = {"nodes": found.total, "changed": found.changed, "installed": found.installed}
    return {**sums, "waiting": found.waiting, "changes": kinds}
