"""The report that a node sends with POST /v1/boot. No I/O here.

What is in it and why stands in agent/README.md. The protocol's version counts for reports and plans alike.
"""

from dataclasses import dataclass, field

from bootpilot_agent.evidence import Evidence, evidence_from_fields
from bootpilot_agent.fields import ENROL_PATTERN, MAX_BODY_BYTES, UUID_PATTERN, FieldError, Fields, Json
from bootpilot_agent.inventory import Inventory

VERSION = 1
ARCHITECTURES = ("amd64", "arm64", "armhf", "riscv64")
NONCE_PATTERN = r"[0-9a-f]{64}"
# What a report says that asks for nothing: the board has started its own disk.
BY_ITSELF = "disk"


@dataclass(frozen=True)
class Lease:
    """The address configuration in use. `method` is dhcp, static or slaac; `client_id` is hex as sent in option 61."""

    interface: str
    method: str
    address: str
    gateway: str
    dns: tuple[str, ...]
    client_id: str

    def to_json(self) -> dict[str, Json]:
        return {
            "interface": self.interface,
            "method": self.method,
            "address": self.address,
            "gateway": self.gateway,
            "dns": list(self.dns),
            "client_id": self.client_id,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> "Lease":
        return cls(
            interface=fields.text("interface", most=64),
            method=fields.text("method", most=16),
            address=fields.text("address", most=64),
            gateway=fields.text("gateway", most=64),
            dns=fields.texts("dns", most=8, longest=64),
            client_id=fields.text("client_id", most=512),
        )


@dataclass(frozen=True)
class LastAttempt:
    """A failure that never reached a server, told in the next report."""

    boot_id: str
    stage: str
    message: str
    hint: str

    def to_json(self) -> dict[str, Json]:
        return {"boot_id": self.boot_id, "stage": self.stage, "message": self.message, "hint": self.hint}

    @classmethod
    def from_fields(cls, fields: Fields) -> "LastAttempt":
        return cls(
            boot_id=fields.text("boot_id", pattern=UUID_PATTERN, expected="a UUID"),
            stage=fields.text("stage", most=32),
            message=fields.text("message", most=2000),
            hint=fields.text("hint", most=2000),
        )


@dataclass(frozen=True)
class Report:
    """The body of POST /v1/boot. `clock_unix_s` is the board's idea of the time, wrong on boards without a battery.

    `loader_builds` are the builds of the loaders since power-on, oldest first; the last one is `build_id`. `enrol` is the batch
    and secret of the card, "" if it has none: never to be shown or stored. `booted` is `BY_ITSELF` for a boot that is over: no
    server answered, and the system on the board's disk tells of it afterwards.
    """

    boot_id: str
    nonce: str
    arch: str
    agent_version: str
    build_id: str
    features: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    inventory: Inventory
    lease: Lease
    clock_unix_s: int
    last_attempt: LastAttempt | None
    simulated: bool
    loader_builds: tuple[str, ...] = ()
    enrol: str = field(default="", repr=False)
    booted: str = ""

    def to_json(self) -> dict[str, Json]:
        rare: dict[str, Json] = {"enrol": self.enrol} if self.enrol else {}
        if self.booted:
            rare["booted"] = self.booted
        return rare | {
            "version": VERSION,
            "boot_id": self.boot_id,
            "nonce": self.nonce,
            "arch": self.arch,
            "agent": {"version": self.agent_version, "build_id": self.build_id},
            "loader_builds": list(self.loader_builds),
            "features": list(self.features),
            "evidence": [piece.to_json() for piece in self.evidence],
            **self.inventory.to_json(),
            "lease": self.lease.to_json(),
            "clock": {"unix_s": self.clock_unix_s},
            "last_attempt": self.last_attempt.to_json() if self.last_attempt else None,
            "simulated": self.simulated,
        }

    @classmethod
    def from_json(cls, raw: bytes, limit_bytes: int = MAX_BODY_BYTES) -> "Report":
        """Bytes from the network -> Report. Raises FieldError that names the field."""
        return cls.from_fields(Fields.from_bytes(raw, limit_bytes))

    @classmethod
    def from_fields(cls, fields: Fields) -> "Report":
        """The same for JSON that was read before. Raises FieldError."""
        fields.version(VERSION)
        pieces = [evidence_from_fields(item) for item in fields.children("evidence", most=128)]
        arch = fields.text("arch", most=16)
        if arch not in ARCHITECTURES:
            raise FieldError("arch", "one of " + ", ".join(ARCHITECTURES), arch)
        return cls(
            boot_id=fields.text("boot_id", pattern=UUID_PATTERN, expected="a UUID"),
            nonce=fields.text("nonce", pattern=NONCE_PATTERN, expected="64 hex digits"),
            arch=arch,
            agent_version=fields.child("agent").text("version", most=64),
            build_id=fields.child("agent").text("build_id", most=128),
            features=fields.texts("features", longest=64),
            evidence=tuple(piece for piece in pieces if piece is not None),
            inventory=Inventory.from_fields(fields),
            lease=Lease.from_fields(fields.child("lease")),
            clock_unix_s=fields.child("clock").number("unix_s", least=-(2**40), most=2**40),
            last_attempt=LastAttempt.from_fields(fields.child("last_attempt")) if fields.has("last_attempt") else None,
            simulated=fields.flag("simulated"),
            # The agents on the first cards know nothing of it.
            loader_builds=fields.texts("loader_builds", most=16, longest=128) if fields.has("loader_builds") else (),
            enrol=_enrol(fields),
            booted=fields.text("booted", pattern=BY_ITSELF, expected=BY_ITSELF) if fields.has("booted") else "",
        )


def _enrol(fields: Fields) -> str:
    """A secret must not come back in an error's text."""
    if not fields.has("enrol"):
        return ""
    try:
        return fields.text("enrol", most=200, pattern=ENROL_PATTERN)
    except FieldError:
        raise FieldError("enrol", "BATCH:secret as `bootpilot batch create` prints it", "something else") from None
