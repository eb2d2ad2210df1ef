"""A node's evidence with its dates, for people and for programs."""

from collections.abc import Sequence

from sqlalchemy import Row

from bootpilot_agent.evidence import Grade
from bootpilot_agent.fields import Json
from bootpilot_server.deciding.moments import moment
from bootpilot_server.deciding.rendering import one_line


def evidence_json(row: Row[tuple[object, ...]]) -> Json:
    """One span: of today, with its grade, or from the history, with why it ended."""
    return {
        "kind": row.kind,
        "value": row.value,
        "grade": Grade(row.grade).name.lower() if hasattr(row, "grade") else None,
        "first_seen_at": row.first_seen_at,
        "first_boot": row.first_boot,
        "last_seen_at": row.last_seen_at,
        "last_boot": row.last_boot,
        "left_at": row.left_at,
        "why": getattr(row, "why", ""),
    }


def evidence_lines(spans: Sequence[Row[tuple[object, ...]]], former: Sequence[Row[tuple[object, ...]]]) -> list[str]:
    """What it shows, what it showed once, and what was taken from it."""
    lines = []
    for row in (*spans, *former):
        grade = Grade(row.grade).name.lower() if hasattr(row, "grade") else "history"
        until = f", gone since {moment(row.left_at)}" if row.left_at is not None else ""
        why = f" ({one_line(row.why)})" if hasattr(row, "why") else ""
        lines.append(f"  {grade} {row.kind}={one_line(row.value)} since {moment(row.first_seen_at)}{until}{why}")
    return lines
