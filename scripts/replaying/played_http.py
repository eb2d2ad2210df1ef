"""The agent's HTTP library, played: the same answers, bytes and breaks as the script has them, in the simulation's time.

Everything of the agent's own transport but sockets and TLS is real; what broke a connection then is said in the same words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bootpilot_agent.errors import TransportError
from scripts.replaying.breaks import Break
from scripts.replaying.played import Asked, Played
from scripts.replaying.script import Script
from scripts.replaying.simulation import Simulation
from scripts.replaying.tape import Kind


@dataclass
class PlayedBody:
    """The body of an answer that began at `start_s`: each byte comes when it came. Silence is borne for `patience_s`."""

    played: Played
    simulation: Simulation
    start_s: float
    patience_s: float
    _position: int = 0

    def read1(self, most: int, **ignored: object) -> bytes:
        body, marks = self.played.body, self.played.marks
        if self._position < len(body):
            at_ms, by_then = next((mark for mark in marks if mark[1] > self._position), (self.played.ms, len(body)))
            self._sleep_until(at_ms)
            chunk = body[self._position : min(by_then, self._position + most)]
            self._position += len(chunk)
            return chunk
        last_ms = self.played.marks[-1][0] if self.played.marks else 0
        is_silent = self.played.breaks is Break.SILENT
        self._sleep_until(min(self.played.ms, last_ms + int(self.patience_s * 1000)) if is_silent else self.played.ms)
        if self.played.breaks:
            raise TransportError(self.played.error)
        return b""

    def isclosed(self) -> bool:
        return self._position >= len(self.played.body)

    def release_conn(self) -> None:
        """There is none."""

    def close(self) -> None:
        """There is none."""

    def _sleep_until(self, at_ms: int) -> None:
        self.simulation.sleep(max(0.0, self.start_s + at_ms / 1000 - self.simulation.now_s))


@dataclass(frozen=True)
class PlayedResponse:
    """requests.Response, as far as the agent uses it."""

    status_code: int
    headers: Mapping[str, str]
    raw: PlayedBody


@dataclass
class PlayedAdapter:
    """Takes the place of the transport's adapter; `route` tells the interface that is asked over."""

    transport: Any
    script: Script
    simulation: Simulation
    on_asked: Any = field(default=lambda: None)

    def send(self, request: Any, *, timeout: tuple[float, float], **ignored: object) -> PlayedResponse:
        """`timeout` is for connecting and for silence. Raises TransportError as the recorded exchange did."""
        headers = {name.lower(): str(value) for name, value in request.headers.items()}
        asked = Asked(request.method, request.url, headers, request.body or b"", self.transport.route.interface)
        played = self.script.answer(asked)
        self.on_asked()
        self._keep_order(asked)
        start_s = self.simulation.now_s
        if played.status is None:
            self.simulation.sleep(max(0.0, start_s + played.ms / 1000 - self.simulation.now_s))
            raise TransportError(played.error)
        head_ms = played.marks[0][0] if played.marks else 0
        self.simulation.sleep(max(0.0, start_s + head_ms / 1000 - self.simulation.now_s))
        return PlayedResponse(played.status, played.headers, PlayedBody(played, self.simulation, start_s, timeout[1]))

    def close(self) -> None:
        """There is no connection."""

    def _keep_order(self, asked: Asked) -> None:
        """Of several ways the first that answers is taken: none may answer earlier than it did."""
        recorded = self.script.met[-1].recorded
        if asked.kind is Kind.HELLO and recorded is not None:
            self.simulation.sleep(max(0.0, (recorded.over_ms - recorded.line.ms) / 1000 - self.simulation.now_s))
