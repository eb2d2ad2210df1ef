"""The shell program that installed systems report with, run as it is: every tool it may find, every server it may meet."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpilot_agent.events import EventName, Source, events_from_json
from bootpilot_agent.initrd_word import WORD
from bootpilot_install.report_hook import FILES
from tests.fakes.installing_machine import BOOT_ID
from tests.fakes.scripted_server import Reply, ScriptedServer

PROGRAM = FILES / "bootpilot-report"
EVENTS = f"/v1/boots/{BOOT_ID}/events"
# What the program needs besides the tool that speaks HTTP.
COMMON = ("sh", "mktemp", "rm", "sed", "head", "uname", "tr", "cat", "sleep", "chmod")
TOOLS = ("curl", "python3", "wget", "busybox")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        running.on("POST", EVENTS, Reply(204))
        yield running


def system(folder: Path, tool: str, **note: str | None) -> tuple[Path, Path]:
    """A PATH with one tool, and /run/bootpilot."""
    programs, run = folder / "bin", folder / "run"
    programs.mkdir()
    run.mkdir()
    for name in (*COMMON, tool):
        # Not whatever stands for python3 on a developer's PATH.
        real = Path(sys.executable).resolve() if name == "python3" else shutil.which(name)
        (programs / name).symlink_to(str(real))
    if tool == "busybox":
        (programs / "wget").symlink_to(str(shutil.which("busybox")))
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in note.items())
    (run / "boot.json").write_text("{\n" + lines + "\n}\n")
    return programs, run


def report(programs: Path, run: Path) -> subprocess.CompletedProcess[str]:
    argv = [str(programs / "sh"), str(PROGRAM), str(run)]
    return subprocess.run(argv, env={"PATH": str(programs)}, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if shutil.which(tool)])
def test_a_planned_boot_is_reported_with_its_token(tmp_path: Path, server: ScriptedServer, tool: str) -> None:
    server.on("POST", EVENTS, Reply(503), Reply(204))
    done = report(*system(tmp_path, tool, server=server.url, token="secret-token", boot_id=BOOT_ID, ca=None))
    assert done.returncode == 0, done.stderr
    first, second = server.asked(EVENTS)
    (event,) = events_from_json(second.body)
    assert (event.source, event.name) == (Source.SYSTEM, EventName.PAYLOAD_UP)
    assert second.headers["authorization"] == "Bearer secret-token"
    assert second.headers["content-type"] == "application/json"
    assert first.body
    assert "it is tried on" in done.stdout


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if shutil.which(tool)])
def test_a_boot_without_a_server_is_handed_in_first(tmp_path: Path, server: ScriptedServer, tool: str) -> None:
    plan = json.dumps({"version": 1, "node_id": "n", "boot_id": BOOT_ID, "token": "fresh.token", "wait": {"text": 'a "b"'}})
    server.on("POST", "/v1/boot", Reply(500), Reply(200, plan.encode()))
    programs, run = system(tmp_path, tool, server=server.url, token="", boot_id="another", ca=None)
    (run / "report.json").write_text('{"version": 1, "boot_id": "x"}')
    assert report(programs, run).returncode == 0
    handed = server.asked("/v1/boot")[-1]
    assert handed.body == b'{"version": 1, "boot_id": "x"}'
    assert "authorization" not in handed.headers
    assert server.asked(EVENTS)[-1].headers["authorization"] == "Bearer fresh.token"


def test_a_note_without_a_server_is_no_trouble(tmp_path: Path) -> None:
    done = report(*system(tmp_path, "python3", server="", token="", boot_id="", ca=None))
    assert (done.returncode, done.stdout) == (0, "bootpilot-report: the loader named no boot server\n")


def test_busybox_does_not_speak_https_to_whoever_answers(tmp_path: Path) -> None:
    done = report(*system(tmp_path, "busybox", server="https://127.0.0.1:9", token="t", boot_id=BOOT_ID, ca=None))
    assert done.returncode == 1
    assert "checks no certificate" in done.stdout + done.stderr


@pytest.mark.parametrize("folder_there", [True, False])
def test_an_initrd_of_initramfs_tools_keeps_the_note(tmp_path: Path, folder_there: bool) -> None:
    """As its /init does: the files of conf.d are sourced first, then ORDER of init-bottom."""
    (tmp_path / "bootpilot").mkdir()
    (tmp_path / "bootpilot/boot.json").write_text("{}")
    order = tmp_path / "scripts/init-bottom/ORDER"
    if folder_there:
        order.parent.mkdir(parents=True)
        order.write_text("echo udev\n")
    word = re.sub(r"(?<![\w}])/(?=run/|bootpilot|scripts)", f"{tmp_path}/", WORD)
    (tmp_path / "word").write_text(word)
    done = subprocess.run(["sh", "-c", f". {tmp_path}/word; . {order}"], capture_output=True, text=True, check=True)
    kept = tmp_path / "run/bootpilot/boot.json"
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == ("{}", 0o600)
    assert done.stdout == ("udev\n" if folder_there else "")
