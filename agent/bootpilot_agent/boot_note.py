"""What the payload is told about its boot: /bootpilot/boot.json. A loader that a loader started reads it again."""

import json
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent.card import Card
from bootpilot_agent.fields import FieldError, Fields, Json
from bootpilot_agent.network import Candidate
from bootpilot_agent.plan import Plan
from bootpilot_agent.settings import Settings

BOOT_JSON = "bootpilot/boot.json"


@dataclass(frozen=True)
class BootNote:
    """What the payload is told about this boot; `ca` is PEM text, `client_id` hex, `loader_builds` oldest first."""

    node_id: str
    boot_id: str
    server: str
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
    address: str
    profile: str

    def to_bytes(self) -> bytes:
        """A flat JSON object with one key on each line, so that a shell can read it with sed."""
        values: dict[str, Json] = {"version": 1, **vars(self), "loader_builds": list(self.loader_builds)}
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in values.items()]
        return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


@dataclass(frozen=True)
class EarlierNote:
    """What a loader that another loader booted finds of the first one's note."""

    card_partuuid: str = ""
    loader_builds: tuple[str, ...] = ()


def read_earlier_note(root: Path = Path("/")) -> EarlierNote:
    """/bootpilot/boot.json, if a loader started this one; an empty note otherwise. Never raises."""
    try:
        fields = Fields.from_bytes((root / BOOT_JSON).read_bytes())
        return EarlierNote(
            fields.text_or_none("card_partuuid", most=64) or "", fields.texts("loader_builds", most=16, longest=128)
        )
    except (OSError, FieldError):
        return EarlierNote()


def make_note(plan: Plan, server: str, candidate: Candidate, settings: Settings, origin: "Origin") -> BootNote:
    """The note for one plan."""
    return BootNote(
        node_id=plan.node_id,
        boot_id=plan.boot_id,
        server=server,
        ca=settings.ca or None,
        token=plan.token,
        install_id=plan.install_id,
        card_partuuid=origin.card.partuuid if origin.card else origin.earlier.card_partuuid or None,
        card_cid=origin.card.cid or None if origin.card else None,
        card_path=origin.card.disk_path if origin.card else None,
        loader_builds=(*origin.earlier.loader_builds, origin.build_id),
        simulated=settings.simulated,
        client_id=candidate.lease.client_id,
        interface=candidate.lease.interface,
        mac=candidate.mac,
        address=candidate.lease.address,
        profile=plan.boot.profile if plan.boot else "",
    )


@dataclass(frozen=True)
class Origin:
    """Where this loader came from: its card, the loader that started it, and its own build."""

    card: Card | None
    earlier: EarlierNote
    build_id: str
