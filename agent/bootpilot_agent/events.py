"""The closed list of things that happen in a boot, and their form on the wire. No I/O here.

Prose is for people; tests, deadlines and the status page look only at these names.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from bootpilot_agent.fields import Fields, Json


class EventName(StrEnum):
    """What can happen. The order is the order of a boot."""

    STARTED = "started"
    NETWORK_UP = "network-up"
    IDENTIFIED = "identified"
    PLANNED = "planned"
    FETCHING = "fetching"
    FETCHED = "fetched"
    LOADED = "loaded"
    HANDOVER = "handover"
    PAYLOAD_UP = "payload-up"
    INSTALLING = "installing"
    INSTALLED = "installed"
    FAILED = "failed"


class Source(StrEnum):
    """Who says so. The key of an event is (boot_id, source, seq)."""

    AGENT = "agent"
    PAYLOAD = "payload"
    INSTALLER = "installer"
    SYSTEM = "system"


@dataclass(frozen=True)
class Event:
    """One thing that happened. `at_ms` is the sender's monotonic clock; `data` holds small extras such as bytes or stage."""

    source: Source
    seq: int
    name: EventName
    at_ms: int
    data: dict[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        return {"source": self.source, "seq": self.seq, "name": self.name, "at_ms": self.at_ms, "data": self.data}

    @classmethod
    def from_fields(cls, fields: Fields) -> "Event":
        """Raises FieldError that names the field."""
        return cls(
            source=fields.choice("source", Source),
            seq=fields.number("seq", least=0, most=2**31),
            name=fields.choice("name", EventName),
            at_ms=fields.number("at_ms", least=0, most=2**53),
            data=dict(fields.child("data").raw) if fields.has("data") else {},
        )


MAX_EVENTS_PER_REQUEST = 256


def events_from_json(raw: bytes) -> list[Event]:
    """The body of `POST /v1/boots/{boot_id}/events` -> events. Raises FieldError."""
    body = Fields.from_bytes(raw)
    body.version(1)
    return [Event.from_fields(item) for item in body.children("events", most=MAX_EVENTS_PER_REQUEST)]


def events_to_json(events: list[Event]) -> dict[str, Json]:
    """Events -> the body of `POST /v1/boots/{boot_id}/events`."""
    return {"version": 1, "events": [event.to_json() for event in events]}
