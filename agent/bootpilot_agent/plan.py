"""THE PROTOCOL, version 1: the report a node sends and the plan it gets back. No I/O here.

The server imports these types, so there is one definition of the wire; agent/README.md has it in tables. A plan is parsed
from the bytes received and never written again from the parsed form (signatures will cover the exact bytes).
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from bootpilot_agent.artifact import SHA256_PATTERN, Artifact, PayloadFile, check_url
from bootpilot_agent.fields import UUID_PATTERN, FieldError, Fields, Json
from bootpilot_agent.local_boot import LocalBoot
from bootpilot_agent.node_report import ARCHITECTURES, BY_ITSELF, NONCE_PATTERN, VERSION, LastAttempt, Lease, Report

# Whoever speaks the protocol imports it from here.
__all__ = [
    "ARCHITECTURES",
    "BY_ITSELF",
    "NONCE_PATTERN",
    "SHA256_PATTERN",
    "VERSION",
    "Artifact",
    "LastAttempt",
    "Lease",
    "PayloadFile",
    "Report",
    "check_url",
]

TOKEN_PATTERN = r"[0-9A-Za-z._~+/=-]{1,512}"
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
    server waits after the jump for an installer's `done`; None where nothing is installed. `record`: the recording of this
    boot is wanted also where nothing fails.
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
    record: bool = False

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
            **({"record": True} if self.record else {}),
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
            record=fields.flag_or_none("record") or False,
        )


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
