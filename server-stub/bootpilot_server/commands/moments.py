"""Times as people write them: UTC unless they say otherwise. No I/O here."""

import re
from datetime import UTC, datetime

from bootpilot_server.errors import OperatorError

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def read_moment(text: str, now: float) -> float:
    """`2h`, `3d` (ago), `2026-11-01`, `2026-11-01T06:30` or with seconds and an offset; UTC unless it says otherwise.

    Unix seconds. Raises OperatorError.
    """
    if span := re.fullmatch(r"([0-9]{1,6})([smhdw])", text):
        return now - int(span[1]) * UNITS_S[span[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        hint = "for example 2h, 3d, 2026-11-01 or 2026-11-01T06:30 (UTC)"
        raise OperatorError(f"{text!r} is no time", hint) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
