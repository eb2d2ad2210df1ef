"""What an installer's shell tells the boot server: events kept until they are heard, logs by offset, done and failed."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpilot_agent.events import EventName, events_from_json
from bootpilot_agent.fields import Json
from bootpilot_server.importing.site_texts import TEXTS
from tests.fakes.certificates import Certificates
from tests.fakes.scripted_server import Reply, Request, ScriptedServer
from tests.importing.shells import start_argv

SCRIPT = TEXTS / "installers/call-server.sh"
BOOT, INSTALL = "4993fa23-c9e7-4099-a268-cbbf16e1c2aa", "00000000-0000-4000-8000-00000000000b"
HERE = f"/v1/boots/{BOOT}"
OK, BUSY = Reply(body=b"{}"), Reply(status=503)
# curl where there is one (Anaconda, Ubuntu), else GNU wget (debian-installer).
KINDS = [("busybox", ("wget",)), ("busybox", ("wget", "curl")), ("dash", ()), ("bash", ())]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        for what in ("events", "failed", "done"):
            running.on("POST", f"{HERE}/{what}", OK)
        yield running


class Installer:
    """One shell with the script and the agent's note."""

    def __init__(self, argv: list[str], root: Path) -> None:
        self.argv, self.root = argv, root
        (root / "bootpilot").mkdir(parents=True)

    def note(self, url: str, ca: str | None = None) -> None:
        values = {
            "version": 1,
            "node_id": BOOT,
            "boot_id": BOOT,
            "server": url,
            "ca": ca,
            "token": "t0k3n",
            "install_id": INSTALL,
        }
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in values.items())
        (self.root / "bootpilot/boot.json").write_text("{\n" + lines + "\n}\n")

    def call(self, *words: str) -> int:
        environment = {**os.environ, "CALL_ROOT": str(self.root), "CALL_PAUSES_S": "0 0 0", "LC_ALL": "C.UTF-8"}
        done = subprocess.run([*self.argv, str(SCRIPT), *words], env=environment, capture_output=True, text=True, timeout=120)
        return done.returncode


@pytest.fixture(params=KINDS, ids=lambda kind: "-".join((kind[0], *kind[1])))
def installer(request: pytest.FixtureRequest, tmp_path: Path, server: ScriptedServer) -> Installer:
    shell, programs = request.param
    made = Installer(start_argv(shell, tmp_path, *programs), tmp_path / "root")
    made.note(server.url)
    return made


def sent(requests: list[Request]) -> list[tuple[int, str, dict[str, Json]]]:
    events = [event for request in requests for event in events_from_json(request.body)]
    return [(event.seq, event.name.value, event.data) for event in events]


def test_events_are_as_the_server_takes_them(installer: Installer, server: ScriptedServer) -> None:
    assert installer.call("event", "installing", "stage=guard", "disk=sda", "bytes=1048576", "version=007") == 0
    assert installer.call("event", "installed") == 0
    data = {"stage": "guard", "disk": "sda", "bytes": 1048576, "version": "007"}
    assert sent(server.asked(f"{HERE}/events")) == [(1, "installing", data), (2, EventName.INSTALLED, {})]
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer t0k3n"}


def test_whatever_is_said_is_one_text_in_json(installer: Installer, server: ScriptedServer) -> None:
    text = 'no "disk"\\ fits;\n\tsda: $(reboot) `id` \x7f é {{ 7 }}'
    assert installer.call("event", "failed", f"message={text}") == 0
    ((_, name, data),) = sent(server.asked(f"{HERE}/events"))
    assert (name, list(data)) == ("failed", ["message"])
    assert str(data["message"]).startswith('no "disk"\\ fits;  sda: $(reboot) `id`')


def test_what_was_not_heard_is_sent_with_the_next(installer: Installer, server: ScriptedServer) -> None:
    server.on("POST", f"{HERE}/events", BUSY, Reply(lost=True), OK)
    assert installer.call("event", "payload-up") != 0
    assert installer.call("event", "installing", "stage=netcfg") != 0
    assert installer.call("flush") == 0
    assert installer.call("flush") == 0
    last = server.asked(f"{HERE}/events")[-1]
    assert sent([last]) == [(1, "payload-up", {}), (2, "installing", {"stage": "netcfg"})]
    assert len(server.asked(f"{HERE}/events")) == 3


def test_logs_go_one_after_the_other_by_offset(installer: Installer, server: ScriptedServer) -> None:
    server.on("POST", f"{HERE}/log", OK)
    for name, content in (("syslog", b"first\n"), ("partman", bytes(range(256)))):
        (installer.root / name).write_bytes(content)
    assert (
        installer.call("log", str(installer.root / "syslog"), str(installer.root / "absent"), str(installer.root / "partman"))
        == 0
    )
    asked = [request for request in server.requests if "/log?" in request.path]
    whole = b"".join(request.body for request in asked)
    offsets = [int(request.path.rpartition("offset=")[2]) for request in asked]
    assert offsets == [0, len(asked[0].body)]
    assert all("source=installer" in request.path for request in asked)
    assert whole.startswith(f"==> {installer.root}/syslog <==\nfirst\n".encode())
    assert bytes(range(256)) in whole


def test_done_is_tried_until_it_is_heard(installer: Installer, server: ScriptedServer) -> None:
    server.on("POST", f"{HERE}/done", BUSY, Reply(lost=True), OK)
    assert installer.call("done") == 0
    assert [json.loads(request.body)["install_id"] for request in server.asked(f"{HERE}/done")] == [INSTALL] * 3


def test_failed_carries_its_reason_and_ends(installer: Installer, server: ScriptedServer) -> None:
    server.on("POST", f"{HERE}/failed", BUSY)
    assert installer.call("failed", "no disk\nfits" + "." * 3000) != 0
    bodies = [json.loads(request.body) for request in server.asked(f"{HERE}/failed")]
    assert len(bodies) == 3
    assert bodies[0]["why"].startswith("no disk fits...")
    assert len(bodies[0]["why"]) <= 2000


def test_without_a_note_nothing_is_called(installer: Installer, server: ScriptedServer) -> None:
    (installer.root / "bootpilot/boot.json").unlink()
    assert installer.call("event", "payload-up") == 1
    assert server.requests == []


def test_over_https_only_the_server_with_the_pinned_certificate_is_told(installer: Installer, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("ours", "theirs")]
    for folder in folders:
        folder.mkdir()
    ours, theirs = (Certificates(folder) for folder in folders)
    with ScriptedServer(tls=ours.issue("server")) as server:
        server.on("POST", f"{HERE}/events", OK)
        installer.note(server.url, theirs.ca.read_text())
        assert installer.call("event", "payload-up") != 0
        assert server.requests == []
        (installer.root / "run/bootpilot/ca.pem").unlink()
        installer.note(server.url, ours.ca.read_text())
        assert installer.call("flush") == 0
        assert len(server.requests) == 1
