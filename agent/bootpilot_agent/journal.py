"""Tells the server what happens in a boot: events in few requests, the console's text on failure. Never delays or fails a boot.

Owns one thread that sends and one connection. Events wait here until a plan brings the token; what cannot be sent in the
end goes into the next report as `last_attempt`.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bootpilot_agent.errors import ServerError
from bootpilot_agent.events import MAX_EVENTS_PER_REQUEST, Event, EventName, Source, events_to_json
from bootpilot_agent.fields import Json
from bootpilot_agent.taps import tap

RETRY_S = 10.0
# Progress of a download: the first after 5 s, then ever more seldom, so that an ordinary boot stays within four requests.
PROGRESS_S = (5.0, 15.0, 30.0, 60.0)
LOG_BYTES = 4 << 20


class Sender(Protocol):
    """Delivers to the server. Raises AgentError; a ServerError means that it refused and will refuse again."""

    def send_events(self, body: bytes) -> None: ...

    def send_log(self, text: bytes) -> None: ...

    def send_recording(self, packed: bytes) -> None: ...


@dataclass
class _Progress:
    """When the next word on a download is due."""

    next_at_s: float = 0.0
    said: int = 0


class Journal:
    """The events of one boot. `add` may be called from any thread and returns at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, source: Source = Source.AGENT) -> None:
        self._clock = clock
        self._source = source
        self._changed = threading.Condition()
        self._unsent: list[Event] = []
        self._seq = 0
        self._log: bytes | None = None
        self._recording: Callable[[], bytes] | None = None
        self._refused = False
        self._due = False
        self._closed = False
        self._sender: Sender | None = None
        self._progress = _Progress()

    def add(self, name: EventName, *, send: bool = False, **data: Json) -> None:
        """Note that something happened; with `send` it goes out soon, otherwise with the next batch."""
        with self._changed:
            tap().added_event(name, data)
            self._unsent.append(Event(self._source, self._seq, name, int(self._clock() * 1000), data))
            self._seq += 1
            self._drop_old_progress()
            self._due |= send
            self._changed.notify_all()

    def progress(self, done_bytes: int, total_bytes: int) -> None:
        """How far the download is. Call as often as you like."""
        now_s = self._clock()
        if self._progress.next_at_s == 0.0:
            self._progress.next_at_s = now_s + PROGRESS_S[0]
        if now_s >= self._progress.next_at_s:
            self._progress.said += 1
            self._progress.next_at_s = now_s + PROGRESS_S[min(self._progress.said, len(PROGRESS_S) - 1)]
            self.add(EventName.FETCHING, send=True, bytes=done_bytes, total_bytes=total_bytes)

    def open(self, sender: Sender) -> None:
        """From now on events can be sent; those from before go out at once. A second call changes the sender."""
        with self._changed:
            first = self._sender is None
            self._sender = sender
            self._due |= first
            self._changed.notify_all()
        if first:
            threading.Thread(target=self._work, name="journal", daemon=True).start()

    def flush(self, timeout_s: float, log: bytes | None = None) -> bool:
        """Send everything, and the console's text if given; True if the server has it all within the time.

        False also if it refused some of it, now or while this flush waited for an earlier batch.
        """
        with self._changed:
            if self._sender is None:
                return False
            self._refused = False
            self._log = log[:LOG_BYTES] if log else None
            self._due = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._unsent and self._log is None, timeout_s) and not self._refused

    def send_recording(self, pack: Callable[[], bytes], timeout_s: float) -> bool:
        """Send the recording of this boot, which `pack` makes meanwhile; True if the server has it within the time."""
        with self._changed:
            if self._sender is None:
                return False
            self._refused = False
            self._recording = pack
            self._due = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._recording is None, timeout_s) and not self._refused

    def close(self) -> None:
        """No more is sent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _drop_old_progress(self) -> None:
        # A server that is away for hours must not fill the memory of a board that waits for it.
        if len(self._unsent) > MAX_EVENTS_PER_REQUEST:
            position = next((i for i, event in enumerate(self._unsent) if event.name is EventName.FETCHING), 0)
            del self._unsent[position]

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._due or self._closed)
                if self._closed:
                    return
                batch, log, recording, sender = list(self._unsent), self._log, self._recording, self._sender
                self._due = False
            delivered = sender is not None and self._deliver(sender, batch, log, recording)
            with self._changed:
                if delivered:
                    sent = {event.seq for event in batch}
                    self._unsent = [event for event in self._unsent if event.seq not in sent]
                    self._log = None if self._log is log else self._log
                    self._recording = None if self._recording is recording else self._recording
                    self._changed.notify_all()
                else:
                    self._changed.wait_for(lambda: self._due or self._closed, RETRY_S)
                    self._due = True

    def _deliver(self, sender: Sender, batch: list[Event], log: bytes | None, recording: Callable[[], bytes] | None) -> bool:
        try:
            if batch:
                sender.send_events(json.dumps(events_to_json(batch)).encode())
            if log:
                sender.send_log(log)
            if recording:
                sender.send_recording(recording())
        except ServerError:
            self._refused = True  # the same bytes will be refused again: they are dropped
        except Exception:  # an AgentError, or a fault of our own: neither may end this thread
            return False
        return True
