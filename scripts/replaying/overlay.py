"""A written fault laid over the recorded server's answers. No I/O here.

What the fault spoils does not take the tape further: the agent's next try gets the recorded answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from scripts.replaying.breaks import Break
from scripts.replaying.errors import ReplayError
from scripts.replaying.played import Played
from scripts.replaying.tape import Kind
from scripts.scenarios.scenario import Fault, Part, Scenario

PARTS = {Kind.HELLO: Part.HELLO, Kind.PLAN: Part.PLAN, Kind.EVENTS: Part.EVENTS, Kind.LOG: Part.EVENTS}
# What only a server with sockets can do, or what plays with the clock.
NOT_HERE = ("encoded", "endless", "slow_headers")
SILENT_MS = 60_000


@dataclass
class Overlay:
    """The faults, and how often each was used."""

    faults: tuple[Fault, ...] = ()
    used: dict[int, int] = field(default_factory=dict)

    @property
    def serves_ranges(self) -> bool:
        """A download that a fault broke is gone on with where it was."""
        return bool(self.faults) and not any(fault.ignore_range for fault in self.faults)

    def next_fault(self, kind: Kind, role: str) -> Fault | None:
        """The fault for this request, used up by one; `role` is that of the file that is asked for, if one is."""
        part = part_of(kind, role)
        for number, fault in enumerate(self.faults):
            if fault.part in (part, Part.ALL) and (not fault.times or self.used.get(number, 0) < fault.times):
                self.used[number] = self.used.get(number, 0) + 1
                return fault
        return None


def overlay_of(scenario: Scenario | None) -> Overlay:
    """Nothing at all for none. Raises ReplayError for a scenario whose trouble is more than the server's answers."""
    if scenario is None:
        return Overlay()
    if not scenario.faults or scenario.changes:
        raise ReplayError(
            f"{scenario.name} is not a fault of the server's answers alone, so it cannot be laid over a recording",
            f"`scripts/replay {scenario.name}` plays it as it is written",
        )
    for fault in scenario.faults:
        if wrong := next((name for name in NOT_HERE if getattr(fault, name)), ""):
            raise ReplayError(f"{scenario.name}: {wrong!r} cannot be laid over a recording")
    return Overlay(scenario.faults)


def part_of(kind: Kind, role: str) -> Part | None:
    """Which part of the boot's talk a request is."""
    if kind is Kind.ARTIFACT:
        return Part.KERNEL if role == "kernel" else Part.INITRD if role.startswith("initrd") else None
    return PARTS.get(kind)


def spoilt(played: Played, fault: Fault, url: str) -> Played:
    """The answer with the fault in it."""
    size = len(played.body)
    if fault.lost:
        return Played(None, {}, b"", Break.CLOSED, f"{url}: Remote end closed connection without response", (), played.ms)
    if fault.status:
        body = fault.body.encode()
        headers = {"content-type": "text/html", **_lower(fault.headers), "content-length": str(len(body))}
        return Played(fault.status, headers, body, None, "", ((0, len(body)),), 0)
    if fault.flip_at is not None and size:
        place = min(int(size * fault.flip_at), size - 1)
        played = replace(played, body=played.body[:place] + bytes([played.body[place] ^ 1]) + played.body[place + 1 :])
    for share, broken, words in (
        (fault.reset_at, Break.RESET, "Connection reset by peer"),
        (fault.cut_at, Break.CLOSED, "IncompleteRead"),
        (fault.stall_at, Break.SILENT, "timed out"),
    ):
        if share is not None:
            late_ms = SILENT_MS if broken is Break.SILENT else 0
            body = played.body[: int(size * share)]
            marks = tuple((at_ms, min(by_then, len(body))) for at_ms, by_then in played.marks)
            return replace(played, body=body, breaks=broken, error=f"{url}: {words}", marks=marks, ms=played.ms + late_ms)
    if fault.claim_bytes is not None:
        return replace(played, headers={**played.headers, "content-length": str(fault.claim_bytes)})
    return played


def _lower(headers: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers}
