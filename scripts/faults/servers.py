"""The scenario's boot server: answers by the wire, and does to each part of the boot what the scenario's faults say."""

import gzip
import hashlib
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bootpilot_agent.fields import Json
from scripts.lab.scripted_boot_server import FakeBootServer
from scripts.lab.scripted_server import Answer, Reply, Request
from scripts.lab.small_kernels import arm64_image, bzimage
from scripts.scenarios.scenario import Fault, KernelKind, Part, Scenario, Server

HTTP_PORT, HTTPS_PORT = 8080, 8443
BOMB_BYTES = 256 << 20
HTML = (("Content-Type", "text/html"),)


@dataclass(frozen=True)
class Payload:
    """What the plan names: the bytes and their digests."""

    kernel: bytes
    initrd: bytes
    kernel_sha256: str
    initrd_sha256: str


def make_payload(server: Server) -> Payload:
    """The same bytes at every run, and no two of them alike."""
    noise = hashlib.shake_128(b"kernel").digest(server.kernel_bytes)
    head = bzimage(server.kernel_bytes)[:4096]
    kernel = head + noise[len(head) :]
    if server.kernel is KernelKind.TRUNCATED:
        kernel = kernel[: len(kernel) // 2]
    elif server.kernel is KernelKind.OTHER_CPU:
        kernel = arm64_image(server.kernel_bytes)
    initrd = hashlib.shake_128(b"initrd").digest(server.initrd_bytes)
    return Payload(kernel, initrd, hashlib.sha256(kernel).hexdigest(), hashlib.sha256(initrd).hexdigest())


@dataclass
class Story:
    """What a server that starts anew still knows: how often each fault came, and when each part was asked for first."""

    used: dict[int, int] = field(default_factory=dict)
    first_s: dict[Part, float] = field(default_factory=dict)
    asked: dict[Part, int] = field(default_factory=dict)
    told: list[bytes] = field(default_factory=list)
    recordings: list[bytes] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def make_server(scenario: Scenario, payload: Payload, story: Story, tls: ssl.SSLContext | None) -> FakeBootServer:
    """Not yet started: use it as a context manager."""
    port = HTTPS_PORT if tls else HTTP_PORT
    server = FakeBootServer(address="0.0.0.0", listen_port=port, tls=tls)  # noqa: S104 # in a namespace of its own
    server.offer(payload.kernel, payload.initrd)
    server.edits.append(lambda plan: plan.update(_plan_fields(scenario)))
    server.on("PUT", "/v1/boots/*", lambda request: _keep_recording(request, story))
    parts: Mapping[tuple[str, str], Part] = {
        ("GET", "/v1/"): Part.HELLO,
        ("POST", "/v1/boot"): Part.PLAN,
        ("POST", "/v1/boots/*"): Part.EVENTS,
        ("GET", f"/artifacts/sha256/{payload.kernel_sha256}"): Part.KERNEL,
        ("GET", f"/artifacts/sha256/{payload.initrd_sha256}"): Part.INITRD,
    }
    good: dict[Part, Answer] = {Part.HELLO: _hello(), Part.PLAN: server.give_plan, Part.EVENTS: Reply(204)}
    for part, content in ((Part.KERNEL, payload.kernel), (Part.INITRD, payload.initrd)):
        good[part] = _artifact(content, scenario.server.bytes_per_s)
    for (method, path), part in parts.items():
        server.on(method, path, _Clerk(part, good[part], scenario.faults, story))
    return server


@dataclass(frozen=True)
class _Clerk:
    """Answers one part of the boot: with the next fault that is for it, or as it should."""

    part: Part
    good: Answer
    faults: tuple[Fault, ...]
    story: Story

    def __call__(self, request: Request) -> Reply:
        fault = self._next_fault(request)
        reply = self.good(request) if callable(self.good) else self.good
        return reply if fault is None else distort(reply, fault)

    def _next_fault(self, request: Request) -> Fault | None:
        with self.story.lock:
            self.story.first_s.setdefault(self.part, time.monotonic())
            self.story.asked[self.part] = self.story.asked.get(self.part, 0) + 1
            if self.part is Part.EVENTS:
                self.story.told.append(request.body)
            for number, fault in enumerate(self.faults):
                if fault.part in (self.part, Part.ALL) and (not fault.times or self.story.used.get(number, 0) < fault.times):
                    self.story.used[number] = self.story.used.get(number, 0) + 1
                    return fault
        return None


def distort(reply: Reply, fault: Fault) -> Reply:
    """The reply with the fault in it."""
    size = len(reply.body)
    if fault.status:
        return Reply(fault.status, fault.body.encode(), fault.headers or HTML)
    if fault.encoded:
        return replace(reply, body=_bomb(), headers=(*reply.headers, ("Content-Encoding", "gzip")), ranges=False)
    if fault.flip_at is not None:
        place = int(size * fault.flip_at)
        reply = replace(reply, body=reply.body[:place] + bytes([reply.body[place] ^ 1]) + reply.body[place + 1 :])
    cut_at = fault.cut_at if fault.reset_at is None else fault.reset_at
    return replace(
        reply,
        lost=fault.lost,
        cut_after=None if cut_at is None else int(size * cut_at),
        reset=fault.reset_at is not None,
        stall_after=None if fault.stall_at is None else int(size * fault.stall_at),
        length=fault.claim_bytes if fault.claim_bytes is not None else None if fault.endless else reply.length,
        endless=fault.endless,
        drip_headers=fault.slow_headers,
        ranges=reply.ranges and not fault.ignore_range,
    )


def _bomb() -> bytes:
    return gzip.compress(bytes(BOMB_BYTES), compresslevel=1)


def _hello() -> Reply:
    return Reply(200, b'{"version": 1, "service": "bootpilot"}', (("Content-Type", "application/json"),))


def _artifact(content: bytes, bytes_per_s: int) -> Reply:
    etag = ("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
    return Reply(200, content, (etag, ("Content-Type", "application/octet-stream")), ranges=True, bytes_per_s=bytes_per_s)


def _keep_recording(request: Request, story: Story) -> Reply:
    story.recordings.append(request.body)
    return Reply(204)


def _plan_fields(scenario: Scenario) -> dict[str, Json]:
    wish: dict[str, Json] = {"record": True} if scenario.server.record else {}
    return {"fetch_deadline_s": scenario.server.fetch_deadline_s, **wish}
