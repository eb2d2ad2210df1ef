"""What the recording of a whole boot must hold, for tests that ask the boot server for one."""

import json
import re
from pathlib import Path
from typing import TypeVar

from bootpilot_agent import recording
from bootpilot_agent.recorded_http import HttpLine
from bootpilot_agent.recording import Recording
from bootpilot_agent.recording_lines import DhcpLine, FileLine, KexecLine, Line, StepLine
from scripts.lab.boot_server import BootServer
from scripts.lab.guest import Guest
from scripts.lab.verdict import Verdict

Kind = TypeVar("Kind", bound=Line)
# main.Edges in the order of a boot that works; the recording is sent in the last one.
STEPS = [
    "load_drivers",
    "read_settings",
    "read_evidence",
    "start_network",
    "find_server",
    "ask_plan",
    "check_fit",
    "fetch_payload",
    "load_kexec",
    "hand_over",
]


def check_recording(server: BootServer, guest: Guest, verdict: Verdict, folder: Path) -> Recording:
    """The recording of the boot that led to this verdict, as an operator gets it: whole, and all in it that a replay needs."""
    path = folder / f"boot{recording.SUFFIX}"
    server.command("recording", "export", verdict.boot_id, "-o", str(path))
    found = recording.read(path.read_bytes())
    assert (found.header.boot_id, found.header.arch, found.dropped) == (verdict.boot_id, guest.machine.arch, {})
    assert [step.name for step in of(found, StepLine) if step.ms is None and step.name in STEPS] == STEPS
    files = {file.path for file in of(found, FileLine)}
    assert {"proc/cmdline", "proc/meminfo", "proc/iomem"} <= files
    assert ("sys/firmware/fdt" in files) is (guest.machine.arch != "amd64")
    assert any("\0interface=" in f"\0{dump.text}" for dump in of(found, DhcpLine))
    check_talk(found, verdict)
    assert re.search(r"\bkexec +load kernel=", server.command("recording", "show", verdict.boot_id))
    entries = json.loads(server.command("recording", "show", verdict.boot_id, "--har"))["log"]["entries"]
    assert [entry["request"]["url"] for entry in entries] == [exchange.url for exchange in of(found, HttpLine)]
    return found


def check_talk(found: Recording, verdict: Verdict) -> None:
    """The questions in their order, the plan with its answer, each artifact by the digest that kexec was given."""
    exchanges = of(found, HttpLine)
    assert {exchange.status for exchange in exchanges} <= {200, 204}
    (question,) = [exchange for exchange in exchanges if exchange.url.endswith("/v1/boot")]
    report, plan = json.loads(question.body.content or b""), json.loads(question.answer.content or b"")
    assert (report["boot_id"], plan["boot_id"], plan["node_id"]) == (verdict.boot_id, verdict.boot_id, verdict.node_id)
    (load,) = of(found, KexecLine)
    assert load.command_line == plan["boot"]["command_line"]
    fetched = [exchange.answer.sha256 for exchange in exchanges if "/artifacts/sha256/" in exchange.url]
    assert fetched == list(load.digests.values())


def of(found: Recording, kind: type[Kind]) -> list[Kind]:
    """The lines of one kind."""
    return [timed.line for timed in found.lines if isinstance(timed.line, kind)]
