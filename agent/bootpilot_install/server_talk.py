"""What the boot server hears of an installation: stages, the console's text, done or failed. Owns the journal's connection.

Nothing here delays the installation, but for the last word, which is tried for a while.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bootpilot_agent.console import Console
from bootpilot_agent.conversation import EventSender
from bootpilot_agent.deadline import Chance, Deadline, growing_waits
from bootpilot_agent.errors import AgentError, ServerError
from bootpilot_agent.events import EventName, Source
from bootpilot_agent.fields import Json
from bootpilot_agent.journal import Journal
from bootpilot_agent.transport import Route, Transport
from bootpilot_install.board_note import BoardNote
from bootpilot_install.stages import Stage

POST_S = 15.0
# The mark tells the server at the next boot what it did not hear now.
LAST_WORD_S = 120.0
FLUSH_S = 8.0
# Of the writing: soon at first, then ever more seldom.
PROGRESS_S = (2.0, 5.0, 10.0, 20.0, 30.0, 60.0)


@dataclass
class ServerTalk:
    """One installation's words to its server. `open()` when there is a way to it."""

    note: BoardNote
    console: Console
    chance: Chance
    pause: Callable[[float], None] = time.sleep
    journal: Journal = field(default_factory=lambda: Journal(source=Source.INSTALLER))
    _words: EventSender | None = None
    _said: int = 0
    _next_at_s: float = 0.0

    def open(self, route: Route) -> None:
        """From now on events go out, those from before at once. The journal's thread has a connection of its own."""
        self._words = self._sender(route)
        self.journal.open(self._sender(route))

    def _sender(self, route: Route) -> EventSender:
        return EventSender(Transport(route), self.note.server, self.note.boot_id, self.note.token, Source.INSTALLER)

    def tell(self, stage: Stage, **data: Json) -> None:
        """A stage is over: sent at once, with the console's text so far, by a thread of its own."""
        self.console.say(f"stage: {stage}")
        self.journal.add(EventName.INSTALLING, send=True, stage=stage.value, **data)
        self.journal.flush(0, self.console.transcript())

    def tell_bytes(self, done_bytes: int, total_bytes: int) -> None:
        """How far the writing is. Call as often as you like."""
        now_s = time.monotonic()
        if now_s >= self._next_at_s:
            self._next_at_s = now_s + PROGRESS_S[min(self._said, len(PROGRESS_S) - 1)]
            self._said += 1
            self.journal.add(
                EventName.INSTALLING, send=True, stage=Stage.WRITING.value, bytes=done_bytes, total_bytes=total_bytes
            )

    def tell_done(self) -> bool:
        """`installed` and done; False where the server did not take it in time, which undoes nothing."""
        self.journal.add(EventName.INSTALLED, send=True, install_id=self.note.install_id)
        told = self._post_patiently("done", {"version": 1, "install_id": self.note.install_id}, LAST_WORD_S)
        self.flush()
        return told

    def flush(self) -> None:
        """Everything so far, with the console's text, as far as it goes in time."""
        self.journal.flush(FLUSH_S, self.console.transcript())

    def tell_failed(self, error: AgentError) -> bool:
        """The event, the console's text, and the word that this install is over."""
        self.journal.add(EventName.FAILED, send=True, stage=error.stage, message=error.message[:2000], hint=error.hint[:2000])
        self.journal.flush(FLUSH_S, self.console.transcript())
        why = f"{error.stage}: {error.message}"
        return self._post_patiently("failed", {"version": 1, "why": why[:2000]}, LAST_WORD_S / 2)

    def _post_patiently(self, what: str, body: dict[str, Json], patience_s: float) -> bool:
        deadline = Deadline.after(patience_s)
        waits = growing_waits(1.0, 15.0, self.chance)
        while self._words is not None:
            try:
                self._words.send_word(what, json.dumps(body).encode(), POST_S)
            except ServerError as error:
                self.console.say(f"{what}: {error.message}")
                return False
            except AgentError as error:
                wait_s = next(waits)
                if wait_s > deadline.remaining_s():
                    self.console.say(f"{what}: {error.message}")
                    return False
                self.pause(wait_s)
            else:
                return True
        return False
