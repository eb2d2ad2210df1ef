"""A card made by the first issue's commit against today's server: its recorded bytes, and its own reading of our plans."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from bootpilot_agent.earlier_note import read_earlier_note
from bootpilot_agent.plan import Plan
from bootpilot_server.deciding.boot_state import StateKind
from tests.fakes.bench import Bench, bearer
from tests.fakes.loaders import NEW, loader
from tests.fakes.site import INITRD, KERNEL, RULE, digest, profile

FIRST_CARD = Path(__file__).parents[1] / "data/wire/first-card"
# A zImage (magic at 0x24), for the board of the recording.
ZIMAGE = bytes(0x24) + b"\x18\x28\x6f\x01" + b"the kernel" * 500
READ_PLAN = """\
import json, sys
from bootpilot_agent.plan import Plan
plan = Plan.from_json(sys.stdin.buffer.read(), "armhf")
print(json.dumps([plan.to_json(), list(plan.requires)]))
"""


def recorded(name: str) -> bytes:
    return (FIRST_CARD / name).read_bytes()


def requests() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(recorded("requests.json"))
    return found


def old_reading(folder: Path, plan: bytes) -> tuple[dict[str, Any], list[str]]:
    """What that commit's agent makes of a plan's bytes."""
    package = folder / "first" / "bootpilot_agent"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    for source in (FIRST_CARD / "agent").iterdir():
        (package / source.name.removesuffix(".txt")).write_bytes(source.read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", READ_PLAN], input=plan, capture_output=True, check=False, env={"PYTHONPATH": str(package.parent)}
    )
    assert done.returncode == 0, done.stderr.decode()
    understood, requires = json.loads(done.stdout)
    return understood, requires


def for_armhf(text: str) -> str:
    """A file of the demo's arm64 site, for the board of the recording."""
    return text.replace("arm64", "armhf").replace(digest(KERNEL), digest(ZIMAGE))


def apply(bench: Bench, **more: str) -> None:
    """A profile with every kind of key, and what else there is."""
    bench.server.artifacts.add(io.BytesIO(ZIMAGE))
    text = profile('\n[[file]]\npath = "/etc/motd"\ncontent = "hello"\n', before='arch = "armhf"\nwatchdog = "keep"\n')
    applied = bench.apply(profiles__ram_page=for_armhf(text), rules__lab=for_armhf(RULE), **more)
    assert applied.is_usable, applied.findings


def ask(client: FlaskClient, body: bytes, token: str = "") -> bytes:
    answer = client.post("/v1/boot", data=body, headers=bearer(token))
    assert answer.status_code == 200, answer.text
    raw: bytes = answer.data
    return raw


def test_every_request_of_its_boot_is_taken(bench: Bench) -> None:
    apply(bench)
    token = ""
    for request in requests():
        headers = {"Content-Type": request["headers"]["content-type"], **bearer(token)}
        answer = bench.client.post(request["path"], data=recorded(request["body"]), headers=headers)
        assert answer.status_code // 100 == 2, (request, answer.text)
        if request["path"] == "/v1/boot":
            token = Plan.from_json(answer.data, "armhf").token
    page = bench.client.get("/").text
    assert "Xunlong Orange Pi PC" in page
    assert StateKind.HANDOVER in page


@pytest.mark.parametrize("newer", [{}, {"loaders__armhf": for_armhf(loader())}], ids=["payload", "newer loader"])
def test_it_understands_our_plans_and_can_do_what_they_require(bench: Bench, tmp_path: Path, newer: dict[str, str]) -> None:
    apply(bench, **newer)
    report = json.loads(recorded("1-report.json"))
    raw = ask(bench.client, recorded("1-report.json"))
    understood, requires = old_reading(tmp_path, raw)
    assert (understood["nonce"], understood["boot_id"]) == (report["nonce"], report["boot_id"])
    assert understood["boot"]["profile"] == ("loader armhf" if newer else "ram-page")
    assert understood["boot"]["kernel"]["sha256"] == digest(ZIMAGE)
    assert understood["boot"]["initrds"][0]["sha256"] == digest(INITRD)
    assert set(requires) <= set(report["features"])
    assert json.loads(raw)["boot"].get("loader") == (NEW if newer else None)
    assert "loader" not in understood["boot"]  # it does not know what it starts


def test_it_understands_a_wait(bench: Bench, tmp_path: Path) -> None:
    bench.apply()
    understood, _ = old_reading(tmp_path, ask(bench.client, recorded("1-report.json")))
    assert understood["wait"]["reason"] == "not-approved"


def test_a_failure_that_no_server_heard_of_is_taken_from_its_next_report(bench: Bench) -> None:
    apply(bench)
    plan = Plan.from_json(ask(bench.client, recorded("report-after-a-failure.json")), "armhf")
    assert "an earlier boot failed out of reach: kexec" in bench.client.get(f"/nodes/{plan.node_id}").text


def test_todays_loader_goes_on_from_its_note(tmp_path: Path) -> None:
    (tmp_path / "bootpilot").mkdir()
    (tmp_path / "bootpilot/boot.json").write_bytes(recorded("boot.json"))
    note = read_earlier_note(tmp_path)
    told = json.loads(recorded("boot.json"))
    assert (note.server, note.server_source) == (told["server"], "")
    assert (note.card_partuuid, note.loader_builds) == (told["card_partuuid"], tuple(told["loader_builds"]))
