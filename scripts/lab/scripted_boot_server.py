"""A boot server by the letter of the wire, on a ScriptedServer: plans with the right nonce, artifacts, events."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from bootpilot_agent.events import EventName, events_from_json
from bootpilot_agent.fields import Json
from bootpilot_agent.plan import Report
from scripts.lab.scripted_server import Answer, Reply, Request, ScriptedServer

JSON_TYPE = ("Content-Type", "application/json")
PROBLEM_TYPE = ("Content-Type", "application/problem+json")
NODE_ID = "6f8f57f2-7a5a-4b6d-9c1f-0d4c53f1a001"
TOKEN = "token-of-this-boot"
EditPlan = Callable[[dict[str, Json]], None]


def problem(status: int, detail: str, *headers: tuple[str, str]) -> Reply:
    """A problem document."""
    return Reply(
        status, json.dumps({"title": "trouble", "status": status, "detail": detail}).encode(), (PROBLEM_TYPE, *headers)
    )


@dataclass
class FakeBootServer(ScriptedServer):
    """`boot` is the plan's boot part; `edits` change the whole plan before it is sent."""

    boot: dict[str, Json] = field(default_factory=dict)
    edits: list[EditPlan] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.on("GET", "/v1/", Reply(200, b'{"version": 1, "service": "bootpilot"}', (JSON_TYPE,)))
        self.on("POST", "/v1/boot", self.give_plan)
        self.on("POST", "/v1/boots/*", Reply(204))

    def give_plan(self, request: Request) -> Reply:
        """The `boot` plan that answers this report."""
        return self.reply(request, {"action": "boot", "boot": self.boot})

    def give_wait(self, retry_after_s: int = 1, reason: str = "not-approved") -> Answer:
        """A `wait` plan."""
        wait: dict[str, Json] = {"reason": reason, "retry_after_s": retry_after_s, "text": "a person must approve this board"}
        return lambda request: self.reply(request, {"action": "wait", "wait": wait})

    def give_order(self, action: str) -> Answer:
        """A `reboot` or `poweroff` plan."""
        return lambda request: self.reply(request, {"action": action})

    def reply(self, request: Request, what: dict[str, Json]) -> Reply:
        report = Report.from_json(request.body)
        self.reports.append(report)
        plan: dict[str, Json] = {
            "version": 1,
            "node_id": NODE_ID,
            "boot_id": report.boot_id,
            "token": TOKEN,
            "nonce": report.nonce,
            "writes_disk": False,
            "requires": ["boot"],
            "valid_s": 600,
            "fetch_deadline_s": 60,
            "payload_up_deadline_s": 600,
            "watchdog": "stop",
            "install_id": None,
            **what,
        }
        for edit in self.edits:
            edit(plan)
        return Reply(200, json.dumps(plan).encode(), (JSON_TYPE,))

    def artifact(self, content: bytes, *answers: Answer, urls: tuple[str, ...] = (), **more: Json) -> dict[str, Json]:
        """Serve these bytes (or, the first times, `answers`); the plan's description of them."""
        digest = hashlib.sha256(content).hexdigest()
        path = f"/artifacts/sha256/{digest}"
        good = Reply(200, content, (("ETag", f'"{digest}"'), ("Content-Type", "application/octet-stream")), ranges=True)
        self.on("GET", path, *answers, good)
        return {"urls": [*urls, path], "size": len(content), "sha256": digest, **more}

    def file(self, path: str, content: bytes, mode: int) -> dict[str, Json]:
        """One of a plan's files."""
        artifact = self.artifact(content)
        url = f"/artifacts/sha256/{artifact['sha256']}"
        return {"path": path, "url": url, "size": artifact["size"], "sha256": artifact["sha256"], "mode": mode}

    def offer(self, kernel: bytes, *initrds: bytes, command_line: str = "console=ttyS0 panic=10") -> None:
        """The payload of all plans from now on."""
        self.boot = {
            "profile": "ram-page",
            "kernel": self.artifact(kernel),
            "initrds": [self.artifact(initrd, unpacked_size=len(initrd)) for initrd in initrds],
            "dtb": {"policy": "running"},
            "command_line": command_line,
            "files": [],
        }

    def events(self) -> list[EventName]:
        """What the agent told, in the order of its own numbers."""
        found = {
            event.seq: event.name
            for request in self.requests
            if request.method == "POST" and request.path.endswith("/events")
            for event in events_from_json(request.body)
        }
        return [found[seq] for seq in sorted(found)]
