"""THE PROTOCOL, version 1: the report a node sends and the plan it gets back. No I/O here.

The server imports these types, so there is one definition of the wire; agent/README.md has it in tables. A plan is parsed
from the bytes received and never written again from the parsed form (signatures will cover the exact bytes).
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from bootpilot_agent.evidence import Evidence, evidence_from_fields
from bootpilot_agent.fields import ENROL_PATTERN, MAX_BODY_BYTES, UUID_PATTERN, FieldError, Fields, Json
from bootpilot_agent.inventory import Inventory
from bootpilot_agent.linked_folders import check_unlinked
from bootpilot_agent.local_boot import LocalBoot

VERSION = 1
ARCHITECTURES = ("amd64", "arm64", "armhf", "riscv64")
NONCE_PATTERN = r"[0-9a-f]{64}"
SHA256_PATTERN = r"[0-9a-f]{64}"
TOKEN_PATTERN = r"[0-9A-Za-z._~+/=-]{1,512}"
MAX_ARTIFACT_BYTES = 1 << 40
BUILD_PATTERN = r"[0-9A-Za-z][0-9A-Za-z._+-]{0,127}"
# Loaders in a row from one power-on: the card's, a newer one, and a third where the site changes over meanwhile.
MAX_LOADERS = 3

# COMMAND_LINE_SIZE of each architecture (arch/*/include/uapi/asm/setup.h), including the closing NUL.
COMMAND_LINE_SIZE = {"amd64": 2048, "arm64": 2048, "armhf": 1024, "riscv64": 1024}


class Action(StrEnum):
    """What a plan tells the node to do."""

    BOOT = "boot"
    LOCAL = "local"
    WAIT = "wait"
    REBOOT = "reboot"
    POWEROFF = "poweroff"


class DtbPolicy(StrEnum):
    """Which device tree the payload gets: the one the firmware passed, the plan's file as it is, or as this board's own."""

    RUNNING = "running"
    FILE = "file"
    FILE_FIXUPS = "file+fixups"


class Watchdog(StrEnum):
    """What becomes of the hardware watchdog before the jump."""

    STOP = "stop"
    KEEP = "keep"


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
    and secret of the card, "" if it has none: never to be shown or stored.
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

    def to_json(self) -> dict[str, Json]:
        secret: dict[str, Json] = {"enrol": self.enrol} if self.enrol else {}
        return secret | {
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
        )


def _enrol(fields: Fields) -> str:
    """A secret must not come back in an error's text."""
    if not fields.has("enrol"):
        return ""
    try:
        return fields.text("enrol", most=200, pattern=ENROL_PATTERN)
    except FieldError:
        raise FieldError("enrol", "BATCH:secret as `bootpilot batch create` prints it", "something else") from None


@dataclass(frozen=True)
class Artifact:
    """One file known by size and SHA-256, with every place it can be had. `unpacked_bytes` is 0 where it says nothing."""

    urls: tuple[str, ...]
    size_bytes: int
    sha256: str
    unpacked_bytes: int = 0

    def to_json(self) -> dict[str, Json]:
        known: dict[str, Json] = {"urls": list(self.urls), "size": self.size_bytes, "sha256": self.sha256}
        return {**known, "unpacked_size": self.unpacked_bytes} if self.unpacked_bytes else known

    @classmethod
    def from_fields(cls, fields: Fields) -> "Artifact":
        urls = fields.texts("urls", most=16, longest=2048)
        if not urls:
            raise FieldError(fields.name_of("urls"), "at least one URL", [])
        for index, url in enumerate(urls):
            check_url(f"{fields.name_of('urls')}[{index}]", url)
        return cls(
            urls=urls,
            size_bytes=fields.number("size", least=1, most=MAX_ARTIFACT_BYTES),
            sha256=fields.text("sha256", pattern=SHA256_PATTERN, expected="64 lower-case hex digits"),
            unpacked_bytes=fields.number_or_none("unpacked_size", most=MAX_ARTIFACT_BYTES) or 0,
        )


@dataclass(frozen=True)
class PayloadFile:
    """A small file the payload finds in its root: where, what, and its mode bits."""

    path: str
    artifact: Artifact
    mode: int

    def to_json(self) -> dict[str, Json]:
        return {
            "path": self.path,
            "url": self.artifact.urls[0],
            "size": self.artifact.size_bytes,
            "sha256": self.artifact.sha256,
            "mode": self.mode,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> "PayloadFile":
        path = fields.text("path", most=512, pattern=r"/[^\x00-\x1f\x7f]+", expected="an absolute path")
        if any(part in ("", ".", "..") for part in path[1:].split("/")) or f"{path}/".startswith("/bootpilot/"):
            raise FieldError(fields.name_of("path"), "a plain absolute path outside /bootpilot", path)
        check_unlinked(fields.name_of("path"), path)
        url = fields.text("url", most=2048)
        check_url(fields.name_of("url"), url)
        artifact = Artifact(
            urls=(url,),
            size_bytes=fields.number("size", most=16 << 20),
            sha256=fields.text("sha256", pattern=SHA256_PATTERN, expected="64 lower-case hex digits"),
        )
        return cls(path, artifact, fields.number("mode", most=0o7777))


@dataclass(frozen=True)
class BootPayload:
    """What a `boot` plan boots. `dtb` is there but for RUNNING, overlays only with FILE_FIXUPS. `profile` is a name for people.

    `loader` is the build id of the loader that this is, "" for any other payload.
    """

    profile: str
    kernel: Artifact
    initrds: tuple[Artifact, ...]
    dtb_policy: DtbPolicy
    dtb: Artifact | None
    command_line: str
    files: tuple[PayloadFile, ...]
    loader: str = ""
    dtb_overlays: tuple[Artifact, ...] = ()

    def to_json(self) -> dict[str, Json]:
        dtb: dict[str, Json] = {"policy": self.dtb_policy}
        if self.dtb:
            dtb["artifact"] = self.dtb.to_json()
        if self.dtb_overlays:
            dtb["overlays"] = [overlay.to_json() for overlay in self.dtb_overlays]
        return {
            "profile": self.profile,
            "kernel": self.kernel.to_json(),
            "initrds": [initrd.to_json() for initrd in self.initrds],
            "dtb": dtb,
            "command_line": self.command_line,
            "files": [file.to_json() for file in self.files],
            **({"loader": self.loader} if self.loader else {}),
        }

    @classmethod
    def from_fields(cls, fields: Fields, arch: str) -> "BootPayload":
        dtb = fields.child("dtb")
        policy = dtb.choice("policy", DtbPolicy)
        return cls(
            profile=fields.text("profile", most=128),
            kernel=Artifact.from_fields(fields.child("kernel")),
            initrds=tuple(Artifact.from_fields(item) for item in fields.children("initrds", most=16)),
            dtb_policy=policy,
            dtb=None if policy is DtbPolicy.RUNNING else Artifact.from_fields(dtb.child("artifact")),
            dtb_overlays=_read_overlays(dtb) if policy is DtbPolicy.FILE_FIXUPS else (),
            command_line=check_command_line(fields.text("command_line", most=1 << 16), arch),
            files=tuple(PayloadFile.from_fields(item) for item in fields.children("files", most=64)),
            loader=fields.text("loader", pattern=BUILD_PATTERN, expected="a build id") if fields.has("loader") else "",
        )


@dataclass(frozen=True)
class Wait:
    """Nothing to do now. `reason` is one of the server's words; an unknown one is a plain wait."""

    reason: str
    retry_after_s: int
    text: str

    def to_json(self) -> dict[str, Json]:
        return {"reason": self.reason, "retry_after_s": self.retry_after_s, "text": self.text}

    @classmethod
    def from_fields(cls, fields: Fields) -> "Wait":
        return cls(
            reason=fields.text("reason", most=64),
            retry_after_s=fields.number("retry_after_s", least=1, most=3600),
            text=fields.text("text", most=1000),
        )


@dataclass(frozen=True)
class Plan:
    """The server's answer. Exactly one of `boot`, `local` and `wait` is set for those actions; all times count from the answer.

    `install_id` is what a `boot` plan installs, and what a `local` plan expects on the disk. `done_deadline_s` is how long the
    server waits after the jump for an installer's `done`; None where nothing is installed.
    """

    node_id: str
    boot_id: str
    token: str
    nonce: str
    action: Action
    writes_disk: bool
    requires: tuple[str, ...]
    valid_s: int
    fetch_deadline_s: int
    payload_up_deadline_s: int
    watchdog: Watchdog
    install_id: str | None
    boot: BootPayload | None = None
    wait: Wait | None = None
    local: LocalBoot | None = None
    done_deadline_s: int | None = None

    def to_json(self) -> dict[str, Json]:
        return {
            "version": VERSION,
            "node_id": self.node_id,
            "boot_id": self.boot_id,
            "token": self.token,
            "nonce": self.nonce,
            "action": self.action,
            "writes_disk": self.writes_disk,
            "requires": list(self.requires),
            "valid_s": self.valid_s,
            "fetch_deadline_s": self.fetch_deadline_s,
            "payload_up_deadline_s": self.payload_up_deadline_s,
            "watchdog": self.watchdog,
            "install_id": self.install_id,
            **({"boot": self.boot.to_json()} if self.boot else {}),
            **({"wait": self.wait.to_json()} if self.wait else {}),
            **({"local": self.local.to_json()} if self.local else {}),
            **({"done_deadline_s": self.done_deadline_s} if self.done_deadline_s else {}),
        }

    @classmethod
    def from_json(cls, raw: bytes, arch: str) -> "Plan":
        """Bytes from the network -> Plan, for a node of this architecture. Raises FieldError that names the field."""
        fields = Fields.from_bytes(raw)
        fields.version(VERSION)
        action = fields.choice("action", Action)
        return cls(
            node_id=fields.text("node_id", pattern=UUID_PATTERN, expected="a UUID"),
            boot_id=fields.text("boot_id", pattern=UUID_PATTERN, expected="a UUID"),
            token=fields.text("token", pattern=TOKEN_PATTERN, expected="a bearer token"),
            nonce=fields.text("nonce", pattern=NONCE_PATTERN, expected="64 hex digits"),
            action=action,
            writes_disk=fields.flag("writes_disk"),
            requires=fields.texts("requires", longest=64),
            valid_s=fields.number("valid_s", least=1, most=86400),
            fetch_deadline_s=fields.number("fetch_deadline_s", least=1, most=7 * 86400),
            payload_up_deadline_s=fields.number("payload_up_deadline_s", least=1, most=7 * 86400),
            watchdog=fields.choice("watchdog", Watchdog),
            install_id=fields.text("install_id", pattern=UUID_PATTERN) if fields.has("install_id") else None,
            boot=BootPayload.from_fields(fields.child("boot"), arch) if action is Action.BOOT else None,
            wait=Wait.from_fields(fields.child("wait")) if action is Action.WAIT else None,
            local=LocalBoot.from_fields(fields.child("local")) if action is Action.LOCAL else None,
            done_deadline_s=fields.number_or_none("done_deadline_s", least=1, most=30 * 86400),
        )


def check_url(name: str, url: str) -> None:
    """A path on the server that answered, or an absolute http(s) URL without credentials. Raises FieldError."""
    if not re.fullmatch(r"(/(?!/)|https?://(?![^/]*@)[^/])[!-~]*", url):
        raise FieldError(name, "an http or https URL or a path on the server", url)


def _read_overlays(dtb: Fields) -> tuple[Artifact, ...]:
    return tuple(Artifact.from_fields(item) for item in dtb.children("overlays", most=16)) if dtb.has("overlays") else ()


def check_command_line(text: str, arch: str) -> str:
    """The text itself if this architecture's kernel can take it. Raises FieldError on control characters or length."""
    if re.search(r"[\x00-\x1f\x7f]", text) or not text.isascii():
        raise FieldError("boot.command_line", "printable ASCII on one line", text)
    if len(text) >= COMMAND_LINE_SIZE[arch]:
        raise FieldError("boot.command_line", f"fewer than {COMMAND_LINE_SIZE[arch]} characters ({arch} kernel)", len(text))
    return text


def problem_detail(raw: bytes) -> str | None:
    """The `detail` (or `title`) of an RFC 9457 problem document, None if it is none."""
    try:
        fields = Fields.from_bytes(raw)
        return fields.text_or_none("detail") or fields.text_or_none("title")
    except FieldError:
        return None
