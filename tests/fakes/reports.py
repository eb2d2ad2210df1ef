"""Reports as a board would send them: real in every field, and any field changed at will."""

import json
import secrets
import uuid
from dataclasses import replace
from typing import Any

from bootpilot_agent.evidence import Evidence, EvidenceKind, grade_evidence
from bootpilot_agent.inventory import Board, Cpu, Disk, Inventory, KexecCapability, Nic, Transport
from bootpilot_agent.plan import Lease, Report

SERIAL = "10000000abcdef01"


def piece(kind: EvidenceKind, value: str) -> Evidence:
    return grade_evidence(kind, value, f"/sys/of/{kind}")


def serial(value: str = SERIAL) -> tuple[Evidence, ...]:
    """The evidence of a board with a serial number in its device tree."""
    return (piece(EvidenceKind.DT_SERIAL, value),)


def make_report(**changes: Any) -> Report:
    """A ROCK 5B with a fresh boot_id and nonce; `model` and `memory_bytes` reach into the inventory."""
    nic = Nic("end0", "00:48:54:20:33:01", 0, "r8169", True, 1000, "/devices/platform/fe190000.pcie")
    card = Disk("mmcblk1", 32 << 30, Transport.MMC, "SD32G", "0x1234abcd", True, "/devices/platform/fe2c0000.mmc")
    inventory = Inventory(
        board=Board(changes.pop("model", "Radxa ROCK 5B"), ("radxa,rock-5b", "rockchip,rk3588")),
        cpu=Cpu("Cortex-A76", 8, 1),
        memory_bytes=changes.pop("memory_bytes", 8 << 30),
        nics=(nic,),
        disks=(card,),
        kexec=KexecCapability(load=True, file_load=False, lockdown="none"),
    )
    report = Report(
        boot_id=str(uuid.uuid4()),
        nonce=secrets.token_hex(32),
        arch="arm64",
        agent_version="0.1.0",
        build_id="0123456789abcdef",
        features=("boot", "wait", "reboot", "poweroff", "dtb:running", "dtb:file"),
        evidence=serial(),
        inventory=inventory,
        lease=Lease("end0", "dhcp", "10.0.0.7/24", "10.0.0.1", ("10.0.0.1",), "0031"),
        clock_unix_s=0,
        last_attempt=None,
        simulated=False,
    )
    return replace(report, **changes)


def again(report: Report, **changes: Any) -> Report:
    """A further question under the same boot_id."""
    return replace(report, nonce=secrets.token_hex(32), **changes)


def body_of(report: Report) -> bytes:
    return json.dumps(report.to_json()).encode()
