"""What the loader says of this boot, /bootpilot/boot.json, as far as an installation needs it. No I/O here."""

from dataclasses import dataclass

from bootpilot_agent.fields import UUID_PATTERN, FieldError, Fields

MAX_NOTE_BYTES = 256 << 10


@dataclass(frozen=True)
class BoardNote:
    """Who this node is, where its server is, which install is to be made, and which disk is the card.

    `raw` is the note as it was read, for the next system. `address` has its prefix length. `client_id` is hex.
    """

    raw: bytes
    node_id: str
    boot_id: str
    server: str
    server_source: str
    ca: str
    token: str
    install_id: str
    card_partuuid: str
    card_cid: str
    card_path: str
    client_id: str
    interface: str
    mac: str
    method: str
    address: str
    gateway: str
    dns: tuple[str, ...]
    vlan: int | None
    watchdog: str
    simulated: bool

    @classmethod
    def from_bytes(cls, raw: bytes) -> "BoardNote":
        """Raises FieldError, also where the card or the install has no name: then nothing may be written."""
        fields = Fields.from_bytes(raw, MAX_NOTE_BYTES)
        fields.version(1)
        return cls(
            raw=raw,
            node_id=fields.text("node_id", pattern=UUID_PATTERN, expected="a UUID"),
            boot_id=fields.text("boot_id", pattern=UUID_PATTERN, expected="a UUID"),
            server=fields.text("server", most=2048).rstrip("/"),
            server_source=_optional(fields, "server_source", 64),
            ca=_optional(fields, "ca", 64 << 10),
            token=fields.text("token", most=512),
            install_id=_wanted(fields, "install_id", "the id of the install to make", UUID_PATTERN),
            card_partuuid=_wanted(fields, "card_partuuid", "the card's PARTUUID, for what is no card can be told by it only"),
            card_cid=_optional(fields, "card_cid", 64),
            card_path=_optional(fields, "card_path", 512),
            client_id=_optional(fields, "client_id", 512),
            interface=_optional(fields, "interface", 64),
            mac=_optional(fields, "mac", 64).lower(),
            method=_optional(fields, "method", 16),
            address=_optional(fields, "address", 64),
            gateway=_optional(fields, "gateway", 64),
            dns=fields.texts("dns", most=8, longest=64) if fields.has("dns") else (),
            vlan=fields.number_or_none("vlan", most=4094),
            watchdog=_optional(fields, "watchdog", 16),
            simulated=fields.flag_or_none("simulated") or False,
        )


def _optional(fields: Fields, name: str, most: int) -> str:
    return fields.text_or_none(name, most=most) or ""


def _wanted(fields: Fields, name: str, what: str, pattern: str = r"[!-~]{1,64}") -> str:
    if not fields.has(name):
        raise FieldError(name, what, None)
    return fields.text(name, pattern=pattern, expected=what)
