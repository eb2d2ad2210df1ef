"""The rows in which requests are matched, replayed ones with recorded ones, in order. No I/O here."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from bootpilot_agent.fields import Json
from scripts.replaying.played import Asked
from scripts.replaying.tape import Exchange, Kind, Tape

TALK = ("talk",)


@dataclass(frozen=True)
class Met:
    """A request of the replay and its counterpart on the tape, if there is one. `body` is in the recorded boot's terms.

    `spoilt`: a fault was laid over the answer, so that the counterpart is still to be met.
    """

    asked: Asked
    row: tuple[str, ...]
    recorded: Exchange | None
    url: str
    body: Json = None
    spoilt: bool = False


def row_of(kind: Kind, url: str, interface: str) -> tuple[str, ...]:
    """The row that a request belongs to."""
    if kind is Kind.HELLO:
        parts = urlsplit(url)
        return (kind, f"{parts.scheme}://{parts.netloc}", interface)
    return TALK if kind in (Kind.PLAN, Kind.ARTIFACT, Kind.OTHER) else (kind,)


def used_way(tape: Tape) -> tuple[str, ...]:
    """The row of probes over which the server was found: how often others were asked meanwhile is a matter of time."""
    hellos = [one for one in tape.exchanges if one.kind is Kind.HELLO and one.line.status is not None]
    for plan in tape.plans:
        for hello in hellos:
            if (hello.line.connection, hello.line.interface) == (plan.line.connection, plan.line.interface):
                return row_of_exchange(hello)
    return ()


def row_of_exchange(exchange: Exchange) -> tuple[str, ...]:
    """As the script sorts them."""
    return row_of(exchange.kind, exchange.line.url, exchange.line.interface)


def is_compared(row: tuple[str, ...]) -> bool:
    """Request by request: the boot's own. What the journal sends depends on when its thread gets to it."""
    return row == TALK or row[0] == Kind.HELLO
