"""What the payload is told about its boot: /bootpilot/boot.json. A loader that a loader started reads it (earlier_note.py)."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootpilot_agent.card import Card
from bootpilot_agent.card_settings import CARD_FILE
from bootpilot_agent.earlier_note import BOOT_JSON, EarlierNote
from bootpilot_agent.fields import Json
from bootpilot_agent.plan import Plan
from bootpilot_agent.settings import Settings

if TYPE_CHECKING:  # it speaks HTTP, which is imported late
    from bootpilot_agent.servers import Way

__all__ = ["BOOT_JSON", "BootNote", "Origin", "make_note"]


@dataclass(frozen=True)
class BootNote:
    """What the payload is told about this boot; `ca` is PEM text, `client_id` hex, `loader_builds` oldest first.

    `loader_settings` are the `bootpilot.*` words of the loaders' command lines, for a payload that is a loader itself.
    """

    node_id: str
    boot_id: str
    server: str
    server_source: str
    ca: str | None
    token: str
    install_id: str | None
    card_partuuid: str | None
    card_cid: str | None
    card_path: str | None
    loader_builds: tuple[str, ...]
    simulated: bool
    client_id: str
    interface: str
    mac: str
    method: str
    address: str
    gateway: str
    dns: tuple[str, ...]
    vlan: int | None
    watchdog: str
    profile: str
    loader_settings: tuple[str, ...]

    def to_bytes(self) -> bytes:
        """A flat JSON object with one key on each line, so that a shell can read it with sed."""
        values: dict[str, Json] = {"version": 1}
        values |= {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in values.items()]
        return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def make_note(plan: Plan, way: "Way", settings: Settings, origin: "Origin") -> BootNote:
    """The note for one plan, had over this way."""
    lease = way.candidate.lease
    return BootNote(
        node_id=plan.node_id,
        boot_id=plan.boot_id,
        server=way.server,
        server_source=way.source,
        ca=settings.ca or None,
        token=plan.token,
        install_id=plan.install_id,
        card_partuuid=origin.card.partuuid if origin.card else origin.earlier.card_partuuid or None,
        card_cid=(origin.card.cid if origin.card else origin.earlier.card_cid) or None,
        card_path=(origin.card.disk_path if origin.card else origin.earlier.card_path) or None,
        loader_builds=(*origin.earlier.loader_builds, origin.build_id),
        simulated=settings.simulated,
        client_id=lease.client_id,
        interface=lease.interface,
        mac=way.candidate.mac,
        method=lease.method,
        address=lease.address,
        gateway=lease.gateway,
        dns=lease.dns,
        vlan=settings.vlan,
        watchdog=plan.watchdog,
        profile=plan.boot.profile if plan.boot else "",
        loader_settings=origin.settings,
    )


@dataclass(frozen=True)
class Origin:
    """Where this loader came from: its card, the loader that started it, its own build; and what it was told since power-on.

    `settings` are the `bootpilot.*` words of all command lines so far, the latest last.
    """

    card: Card | None
    earlier: EarlierNote
    build_id: str
    settings: tuple[str, ...] = ()

    def card_copy(self) -> dict[str, bytes]:
        """The settings on the card as files for the next loader, which may not find the card any more."""
        if self.card is None or (self.card.problem and self.earlier.card_copy):
            return dict(self.earlier.card_copy)
        return {**self.card.beside, CARD_FILE: self.card.settings_text}
