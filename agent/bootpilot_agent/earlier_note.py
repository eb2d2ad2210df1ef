"""What a loader that another loader started takes from the note it was given, because nobody tells it a second time.

The first loader's own command line, and with it a server or a static address given there, is gone after the jump.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bootpilot_agent.card_settings import MAX_CARD_BYTES
from bootpilot_agent.fields import FieldError, Fields
from bootpilot_agent.raw_settings import DHCP
from bootpilot_agent.settings import Settings
from bootpilot_agent.taps import tap

BOOT_JSON = "bootpilot/boot.json"
# The settings that the first loader read from its card, for a loader that follows it: the card may be gone by then.
CARD_COPY = "bootpilot/card"
MAX_CARD_FILES = 8


@dataclass(frozen=True)
class EarlierNote:
    """Of the first loader's boot.json, what this one has use for; all empty if no loader started this one."""

    card_partuuid: str = ""
    card_cid: str = ""
    card_path: str = ""
    loader_builds: tuple[str, ...] = ()
    simulated: bool = False
    server: str = ""
    server_source: str = ""
    ca: str = ""
    method: str = ""
    address: str = ""
    gateway: str = ""
    dns: tuple[str, ...] = ()
    vlan: int | None = None
    watchdog: str = ""
    settings: tuple[str, ...] = ()
    card_copy: Mapping[str, bytes] = field(default_factory=dict)


def read_earlier_note(root: Path = Path("/")) -> EarlierNote:
    """/bootpilot/boot.json, if a loader started this one; an empty note otherwise. Never raises."""
    try:
        content = (root / BOOT_JSON).read_bytes()
        tap().read(root / BOOT_JSON, content)
        fields = Fields.from_bytes(content, limit_bytes=256 * 1024)
        return EarlierNote(
            card_partuuid=fields.text_or_none("card_partuuid", most=64) or "",
            card_cid=fields.text_or_none("card_cid", most=64) or "",
            card_path=fields.text_or_none("card_path", most=512) or "",
            loader_builds=fields.texts("loader_builds", most=16, longest=128),
            simulated=fields.flag_or_none("simulated") or False,
            server=fields.text_or_none("server", most=2048) or "",
            server_source=fields.text_or_none("server_source", most=64) or "",
            ca=fields.text_or_none("ca", most=64 * 1024) or "",
            method=fields.text_or_none("method", most=16) or "",
            address=fields.text_or_none("address", most=64) or "",
            gateway=fields.text_or_none("gateway", most=64) or "",
            dns=fields.texts("dns", most=8, longest=64) if fields.has("dns") else (),
            vlan=fields.number_or_none("vlan", most=4094),
            watchdog=fields.text_or_none("watchdog", most=16) or "",
            settings=fields.texts("loader_settings", most=64) if fields.has("loader_settings") else (),
            card_copy=_read_card_copy(root / CARD_COPY),
        )
    except (OSError, FieldError):
        return EarlierNote()


def _read_card_copy(folder: Path) -> dict[str, bytes]:
    if not folder.is_dir():
        return {}
    found = {}
    for path in sorted(folder.iterdir())[:MAX_CARD_FILES]:
        with path.open("rb") as file:
            found[path.name] = file.read(MAX_CARD_BYTES + 1)
        tap().read(path, found[path.name])
    return found


def carry_on(settings: Settings, note: EarlierNote) -> tuple[Settings, tuple[str, ...]]:
    """The settings, with what they lack and the first loader knew; and the keys that were taken from it.

    A server that only DHCP named is asked for again: the note must not make more of it than it was.
    """
    taken: dict[str, object] = {}
    if note.ca or (note.server.startswith("https:") and note.server_source not in ("", DHCP)):
        taken["https_only"] = True
    if not settings.servers and note.server and note.server_source != DHCP:
        # The agents of the first cards do not say who named it; then it is trusted no more than one that DHCP named.
        taken |= {"servers": (note.server,), "server_source": note.server_source or DHCP}
    if note.ca and not settings.ca:
        taken["ca"] = note.ca
    if not settings.address and note.method == "static":
        taken |= {"address": note.address, "gateway": note.gateway, "dns": settings.dns or note.dns}
    if settings.vlan is None and note.vlan is not None:
        taken["vlan"] = note.vlan
    if note.simulated:
        taken["simulated"] = True
    changed = tuple(key for key, value in taken.items() if value != getattr(settings, key))
    return replace(settings, **taken), changed  # type: ignore[arg-type]
