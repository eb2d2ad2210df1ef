"""The time line of a recording, as far as a page can hold it. A recording is a board's word: it may be anything."""

from bootpilot_agent import recording
from bootpilot_agent.fields import FieldError
from bootpilot_server.recordings.time_line import summary, time_line

# Of a board that tried for days; `bootpilot recording show` has them all.
MAX_ROWS = 500


def recording_details(raw: bytes | None) -> dict[str, object]:
    """What recording.html shows; nothing without a recording."""
    if raw is None:
        return {}
    try:
        found = recording.read(raw)
    except FieldError as error:
        return {"rows": [], "unreadable": str(error)}
    rows, notes = time_line(found), summary(found)
    if len(rows) > MAX_ROWS:
        notes.append(f"{len(rows) - MAX_ROWS} rows before these: `bootpilot recording show {found.header.boot_id}`")
    return {"rows": rows[-MAX_ROWS:], "notes": notes, "unreadable": ""}
