"""How an exchange broke, told from what the agent's transport said of it. No I/O here.

Only what the network or the server did is played again. What the agent itself objected to (a wrong status, a file cut short, a
stall) it has to find once more by itself.
"""

from enum import StrEnum

from bootpilot_agent.recorded_http import HttpLine


class Break(StrEnum):
    """What happened to the connection."""

    REFUSED = "refused"
    RESET = "reset"
    SILENT = "silent"  # nothing more came
    CLOSED = "closed"  # it ended before its end
    UNREACHABLE = "unreachable"
    NO_NAME = "no-name"
    TLS = "tls"


# Words in the transport's errors (strerror, urllib3, tls.py, resolver.py), the first that fits.
SIGNS = (
    ("Connection refused", Break.REFUSED),
    ("Connection reset", Break.RESET),
    ("Broken pipe", Break.RESET),
    ("timed out", Break.SILENT),
    ("not finished in time", Break.SILENT),
    ("unreachable", Break.UNREACHABLE),
    ("No route to host", Break.UNREACHABLE),
    ("No such device", Break.UNREACHABLE),
    ("certificate", Break.TLS),
    ("TLS", Break.TLS),
    ("SSL", Break.TLS),
    ("name", Break.NO_NAME),
)
# The agent's own words on an answer that did come (fetch.py, transport.py); each stands behind the URL.
OWN_WORDS = ("ended after ", "stalled at ", "answer of more than ")


def break_of(line: HttpLine) -> Break | None:
    """None where nothing broke, or nothing but the agent's patience with what came."""
    if not line.error:
        return None
    if line.status is not None:
        words = line.error.removeprefix(f"{line.url}: ")
        if words == line.error or words.startswith(OWN_WORDS):
            return None
    return next((broken for sign, broken in SIGNS if sign in line.error), Break.CLOSED)
