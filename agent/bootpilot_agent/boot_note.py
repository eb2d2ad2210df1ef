"""What the payload is told about its boot: /bootpilot/boot.json. A loader that a loader started reads it (earlier_note.py)."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootpilot_agent.card import Card
from bootpilot_agent.card_settings import CARD_FILE
from bootpilot_agent.earlier_note import BOOT_JSON, EarlierNote
from bootpilot_agent.fields import Json
from bootpilot_agent.mark import Mark
from bootpilot_agent.plan import Plan, Watchdog
from bootpilot_agent.raw_settings import DHCP
from bootpilot_agent.settings import Settings

if TYPE_CHECKING:  # what speaks HTTP is imported late
    from bootpilot_agent.network import Candidate
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
    payload = plan.boot or plan.local
    return _note(
        way.candidate,
        settings,
        origin,
        node_id=plan.node_id,
        boot_id=plan.boot_id,
        server=way.server,
        server_source=way.source,
        token=plan.token,
        install_id=plan.install_id,
        watchdog=plan.watchdog,
        profile=payload.profile if payload else "",
    )


def make_lone_note(mark: Mark, boot_id: str, way: "Candidate", settings: Settings, origin: "Origin") -> BootNote:
    """The note for a boot without a server: the mark says whose system it is. There is no token; `server` is the one to tell
    later, "" where nobody has named any.
    """
    named = settings.servers or way.server_urls
    return _note(
        way,
        settings,
        origin,
        node_id=mark.node_id,
        boot_id=boot_id,
        server=named[0] if named else "",
        server_source=(settings.server_source or DHCP) if named else "",
        token="",
        install_id=mark.install_id,
        watchdog=Watchdog.STOP,
        profile="",
    )


def _note(
    way: "Candidate",
    settings: Settings,
    origin: "Origin",
    *,
    node_id: str,
    boot_id: str,
    server: str,
    server_source: str,
    token: str,
    install_id: str | None,
    watchdog: str,
    profile: str,
) -> BootNote:
    lease, card, earlier = way.lease, origin.card, origin.earlier
    return BootNote(
        node_id=node_id,
        boot_id=boot_id,
        server=server,
        server_source=server_source,
        ca=settings.ca or None,
        token=token,
        install_id=install_id,
        card_partuuid=card.partuuid if card else earlier.card_partuuid or None,
        card_cid=(card.cid if card else earlier.card_cid) or None,
        card_path=(card.disk_path if card else earlier.card_path) or None,
        loader_builds=(*earlier.loader_builds, origin.build_id),
        simulated=settings.simulated,
        client_id=lease.client_id,
        interface=lease.interface,
        mac=way.mac,
        method=lease.method,
        address=lease.address,
        gateway=lease.gateway,
        dns=lease.dns,
        vlan=settings.vlan,
        watchdog=watchdog,
        profile=profile,
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
