"""How values look on pages: text of boards made harmless, moments, spans and sizes as people say them."""

import json

from flask import Flask

from bootpilot_server.deciding.moments import moment
from bootpilot_server.deciding.remedies import remedies
from bootpilot_server.deciding.rendering import one_line

MAX_SHOWN = 600


def register(app: Flask) -> None:
    app.jinja_env.filters |= {"shown": shown, "ago": ago, "moment": moment, "size": size, "remedies": remedies}


def shown(value: object) -> str:
    """Text from a board on one line: control and direction characters replaced, and cut. Escaping is the template's."""
    text = one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + " …"


def ago(seconds: float) -> str:
    """A span for people: 42 s, 5 min, 3 h, 2 days."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{max(0, int(seconds // unit))} {name}"
    return f"{int(seconds // 86_400)} days"


def size(count: int) -> str:
    """A number of bytes for people."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
