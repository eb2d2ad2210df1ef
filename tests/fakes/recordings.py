"""Recordings as boards send them, for what reads them."""

import json

from bootpilot_agent import recording
from bootpilot_agent.recorded_http import Body, HttpLine
from bootpilot_agent.recording import Header, Timed
from bootpilot_agent.recording_lines import (
    ClockLine,
    DhcpLine,
    EventLine,
    FileKind,
    FileLine,
    KexecLine,
    Line,
    RunLine,
    SayLine,
    StepLine,
)
from bootpilot_agent.recording_room import Room

BOOT_ID = "0b9a3a1e-8a54-4a6e-9d1c-0123456789ab"
STARTED_MS = 1500
REAL_S = 1_700_000_000
SERVER = "http://192.0.2.1:8080"
LEASE = "event=bound\0ip=192.0.2.7\0subnet=255.255.255.0\0router=192.0.2.1\0lease=3600\0serverid=192.0.2.1\0"
PLAN = json.dumps({"action": "boot", "token": "REDACTED"}).encode()

ASKED = HttpLine(
    connection=1,
    interface="eth0",
    method="POST",
    url=f"{SERVER}/v1/boot",
    headers={"Content-Type": "application/json", "Authorization": "REDACTED"},
    body=Body(2, b"{}"),
    status=200,
    answer_headers={"content-type": "application/json"},
    answer=Body(len(PLAN), PLAN),
    marks=((40, 0), (41, len(PLAN))),
    ms=42,
)
LOST = HttpLine(
    connection=2,
    interface="eth0",
    method="GET",
    url=f"{SERVER}/artifacts/sha256/{'ab' * 32}?part=1&part=&x=ü",
    headers={"Range": "bytes=5-"},
    body=Body(),
    status=206,
    answer_headers={"content-type": "application/octet-stream"},
    answer=Body(4_000_000, None),
    error="Connection reset by peer",
    marks=((3, 0), (900, 4_000_000)),
    ms=950,
)
SILENT = HttpLine(3, "eth0", "GET", f"{SERVER}/v1/", {}, Body(), None, error="Connection refused", ms=7)
BINARY = HttpLine(3, "", "GET", f"{SERVER}/v1/", {}, Body(), 302, {"Location": "file:///x"}, Body(2, b"\xff\xfe"), ms=7)

# A boot that fails, step by step; the time of a line is its place in seconds.
STORY: tuple[Line, ...] = (
    FileLine("proc/cmdline", FileKind.FILE, b"console=ttyS0\n"),
    ClockLine(0),
    ClockLine(REAL_S, corrected=True),
    StepLine("load_drivers"),
    RunLine(("modprobe", "-a", "x"), 0, "", ""),
    RunLine(("mount", "/dev/mmcblk0p1"), 32, "", "no such\x1b[2J device"),
    StepLine("load_drivers", 12),
    DhcpLine("eth0", LEASE),
    DhcpLine("eth1", "event=leasefail\0"),
    SILENT,
    BINARY,
    StepLine("find_server", 3000, decided="http://192.0.2.1:8080 over eth0"),
    ASKED,
    EventLine("planned", {"action": "boot"}),
    LOST,
    StepLine("fetch_payload", 950, error="fetch: nothing more comes"),
    SayLine("FAILED at fetch: nothing more comes"),
    EventLine("failed", {"stage": "fetch"}),
    KexecLine("load", "console=ttyS0", {"kernel": "cd" * 32}),
    StepLine("tell_failure"),
)


def make_recording(*lines: Line, boot_id: str = BOOT_ID) -> bytes:
    """A recording of these lines, a second apart, or of a boot that failed."""
    room = Room()
    for number, line in enumerate(lines or STORY):
        room.add(line.kind, Timed(1000 * (number + 1), line).to_bytes())
    header = Header(boot_id, "0.1.0", "0123456789abcdef", "arm64", ("boot", "record"), STARTED_MS)
    return recording.pack(header, room, 99_000)
