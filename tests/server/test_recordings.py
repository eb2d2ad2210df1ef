"""Recordings of boots at the server: listed, exported, shown as a time line and as HAR, on pages and at the command line."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpilot_agent import recording
from bootpilot_agent.fields import Json
from bootpilot_agent.plan import Plan
from bootpilot_agent.recorded_http import Body, HttpLine
from bootpilot_agent.recording import Timed
from bootpilot_agent.recording_lines import ClockLine, DhcpLine, EventLine, SayLine, StepLine
from bootpilot_server.recordings.clock import BoardClock
from bootpilot_server.recordings.har import to_har
from bootpilot_server.recordings.time_line import describe, summary, time_line
from bootpilot_server.web.recording_details import MAX_ROWS
from tests.fakes.bench import Bench, bearer
from tests.fakes.recordings import LOST, make_recording
from tests.fakes.reports import make_report, serial
from tests.fakes.server_process import bootpilot
from tests.fakes.site import profile

# What HAR 1.2 demands of each object (softwareishard.com/blog/har-12-spec): name -> type. Optional fields may be absent.
HAR: dict[str, dict[str, Any]] = {
    "log": {"version": str, "creator": dict, "entries": list},
    "creator": {"name": str, "version": str},
    "entry": {"startedDateTime": str, "time": (int, float), "request": dict, "response": dict, "cache": dict, "timings": dict},
    "request": {
        "method": str, "url": str, "httpVersion": str, "cookies": list, "headers": list, "queryString": list,
        "headersSize": int, "bodySize": int,
    },
    "postData": {"mimeType": str, "params": list, "text": str},
    "response": {
        "status": int, "statusText": str, "httpVersion": str, "cookies": list, "headers": list, "content": dict,
        "redirectURL": str, "headersSize": int, "bodySize": int,
    },
    "content": {"size": int, "mimeType": str},
    "pair": {"name": str, "value": str},
    "timings": {"send": (int, float), "wait": (int, float), "receive": (int, float)},
}  # fmt: skip


def check_har(document: Any) -> list[Any]:
    """Every field that the format demands, with its type; its entries."""
    json.dumps(document, allow_nan=False)
    log = demanded("log", document["log"])
    assert log["version"] == "1.2"
    demanded("creator", log["creator"])
    for entry in log["entries"]:
        demanded("entry", entry)
        assert datetime.fromisoformat(entry["startedDateTime"]).tzinfo is not None
        request, response = demanded("request", entry["request"]), demanded("response", entry["response"])
        demanded("content", response["content"])
        if "postData" in request:
            demanded("postData", request["postData"])
        for pair in (*request["headers"], *response["headers"], *request["queryString"]):
            demanded("pair", pair)
        timings = demanded("timings", entry["timings"])
        # "time" is the sum of all timings that apply.
        assert entry["time"] == sum(value for value in timings.values() if value >= 0)
    entries: list[Any] = log["entries"]
    return entries


def demanded(name: str, value: Mapping[str, Any]) -> Any:
    wrong = {key: value.get(key) for key, kind in HAR[name].items() if not isinstance(value.get(key), kind)}
    assert wrong == {}, name
    return value


def put(bench: Bench, plan: Plan, raw: bytes) -> int:
    return bench.client.put(f"/v1/boots/{plan.boot_id}/recording", data=raw, headers=bearer(plan.token)).status_code


def home_of(bench: Bench) -> str:
    return str(bench.server.config.home)


def test_a_time_line_tells_what_was_offered_and_not_taken() -> None:
    values = {"event": "offer", "ip": "192.0.2.9", "subnet": "255.255.255.0", "serverid": "192.0.2.3"}
    text = "".join(f"{name}={value}\0" for name, value in {**values, "opt224": b"http://192.0.2.4".hex()}.items())
    told = describe(DhcpLine("eth0", text))
    assert told == "eth0: not taken: 192.0.2.9/24 for 0 s, server 192.0.2.3, boot server http://192.0.2.4"


def test_a_time_line_tells_steps_leases_requests_decisions_and_what_failed() -> None:
    rows = [(row.kind, row.text, row.failed) for row in time_line(recording.read(make_recording()))]
    assert rows == [
        ("clock", "the wall clock says 1970-01-01 00:00:00 UTC", False),
        ("clock", "the wall clock was set to 2023-11-14 22:13:20 UTC", False),
        ("run", "mount /dev/mmcblk0p1: exit code 32 no such\x1b[2J device", True),
        ("step", "load_drivers in 0.012 s", False),
        ("dhcp", "eth0: bound 192.0.2.7/24 for 3600 s, router 192.0.2.1, server 192.0.2.1", False),
        ("dhcp", "eth1: leasefail", False),
        ("http", "GET http://192.0.2.1:8080/v1/: no answer in 0.007 s (eth0, connection 3): Connection refused", True),
        ("http", "GET http://192.0.2.1:8080/v1/: 302, 2 bytes in 0.007 s (connection 3)", False),
        ("step", "find_server in 3.000 s: http://192.0.2.1:8080 over eth0", False),
        ("http", "POST http://192.0.2.1:8080/v1/boot: 200, 39 bytes in 0.042 s, plan boot (eth0, connection 1)", False),
        ("event", "planned action=boot", False),
        (
            "http",
            f"GET {LOST.url}: 206, 4000000 bytes in 0.950 s (eth0, connection 2): Connection reset by peer",
            True,
        ),
        ("step", "fetch_payload in 0.950 s: fetch: nothing more comes", True),
        ("event", "failed stage=fetch", True),
        ("kexec", f"load kernel={'cd' * 6} console=ttyS0", False),
        ("step", "tell_failure …", False),
    ]


def test_times_count_from_the_begin_of_the_boot_and_dates_are_the_boards_own() -> None:
    found = recording.read(make_recording())
    rows = time_line(found, everything=True)
    assert [rows[0].at_ms, rows[-1].at_ms] == [-500, 18_500]
    assert len(rows) == len(found.lines)
    # The third line, at 3 s, set the clock.
    assert BoardClock.of(found).iso(3000) == "2023-11-14T22:13:20.000+00:00"


@pytest.mark.parametrize("real_s", [None, -5, 0, 2**53])
def test_a_clock_that_says_no_date_gives_none(real_s: int | None) -> None:
    found = recording.read(make_recording(ClockLine(real_s)))
    assert BoardClock.of(found).iso(5000) == "1970-01-01T00:00:05.000+00:00"
    assert BoardClock(2.0**60).iso(0).startswith("9999-12-31")


def test_what_is_counted_and_what_was_left_out_is_said() -> None:
    found = recording.read(make_recording())
    assert summary(found) == ["also in it: 1 files read, 1 lines said"]
    end = gzip.decompress(make_recording()).replace(b'"dropped":{}', b'"dropped":{"say":{"lines":7,"bytes":99}}')
    assert summary(recording.read(gzip.compress(end)))[-1] == "left out, because it was too much: 7 of 'say' (99 bytes)"


def test_the_requests_are_har_as_its_specification_demands() -> None:
    silent, binary, asked, lost = check_har(to_har(recording.read(make_recording())))
    assert (silent["response"]["status"], silent["_error"]) == (0, "Connection refused")
    assert binary["response"]["redirectURL"] == "file:///x"
    assert binary["response"]["content"] == {"size": 2, "mimeType": "x-unknown", "text": "//4=", "encoding": "base64"}
    assert asked["request"]["postData"]["text"] == "{}"
    assert asked["timings"] == {"send": 0, "wait": 40, "receive": 2}
    assert json.loads(asked["response"]["content"]["text"])["action"] == "boot"
    assert lost["request"]["queryString"] == [
        {"name": "part", "value": "1"},
        {"name": "part", "value": ""},
        {"name": "x", "value": "ü"},
    ]
    assert lost["response"]["content"]["size"] == 4_000_000
    assert "text" not in lost["response"]["content"]


TEXT = st.text(max_size=40)


@given(
    TEXT, TEXT, st.dictionaries(TEXT, TEXT, max_size=3), st.binary(max_size=30), st.none() | st.integers(100, 999), st.data()
)
def test_any_exchange_gives_har_and_a_row(
    url: str, error: str, headers: dict[str, str], body: bytes, status: int | None, data: st.DataObject
) -> None:
    marks = tuple((data.draw(st.integers(0, 50)), 1) for _ in range(data.draw(st.integers(0, 3))))
    line = HttpLine(1, "", "GET", url, headers, Body(len(body), body), status, headers, Body(len(body), body), error, marks, 30)
    found = recording.read(make_recording(line, DhcpLine("eth0", error), StepLine(url, 3, error), EventLine(url, {error: url})))
    assert len(check_har(to_har(found))) == 1
    assert len(time_line(found)) == 4


def test_recordings_are_listed_newest_first_and_by_node(bench: Bench) -> None:
    bench.apply()
    first = bench.plan(make_report(evidence=serial("1000000000000001")))
    second = bench.plan(make_report(evidence=serial("1000000000000002")))
    bench.plan(make_report(evidence=serial("1000000000000003")))
    assert bootpilot(Path(home_of(bench)), "recording", "list").stdout.strip() == "no boot has a recording"
    for plan in (first, second, first):
        assert put(bench, plan, make_recording(boot_id=plan.boot_id)) == 200
    listed = json.loads(bootpilot(Path(home_of(bench)), "--json", "recording", "list").stdout)
    assert [row["boot_id"] for row in listed] == [second.boot_id, first.boot_id]
    assert listed[0]["bytes"] == len(make_recording(boot_id=second.boot_id))
    of_node = bootpilot(Path(home_of(bench)), "recording", "list", "1000000000000001").stdout
    assert first.boot_id in of_node
    assert second.boot_id not in of_node


def test_a_recording_is_exported_byte_for_byte_and_shown_from_its_file(bench: Bench, tmp_path: Path) -> None:
    bench.apply()
    plan = bench.plan()
    raw = make_recording(boot_id=plan.boot_id)
    assert put(bench, plan, raw) == 200
    home, target = Path(home_of(bench)), tmp_path / "one.bootrec"
    done = bootpilot(home, "recording", "export", plan.boot_id, "-o", str(target))
    assert (done.returncode, target.read_bytes()) == (0, raw), done.stderr
    shown = bootpilot(home, "recording", "show", plan.boot_id)
    assert shown.stdout == bootpilot(tmp_path / "no-home", "recording", "show", str(target)).stdout
    assert f"boot {plan.boot_id}, agent 0.1.0 build 0123456789abcdef (arm64), begun 2023-11-14T22:13:18.500" in shown.stdout
    assert "13.500  !  http   GET" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert "proc/cmdline" not in shown.stdout
    assert "proc/cmdline" in bootpilot(home, "recording", "show", "--all", plan.boot_id).stdout
    assert "2023-11-14T22:13:32.000+00:00" in bootpilot(home, "recording", "show", "--utc", plan.boot_id).stdout
    check_har(json.loads(bootpilot(home, "recording", "show", "--har", plan.boot_id).stdout))
    data = json.loads(bootpilot(home, "--json", "recording", "show", plan.boot_id).stdout)
    assert data["boot_id"] == plan.boot_id
    assert (data["rows"][12]["at_ms"], data["rows"][12]["failed"]) == (14_500, True)


def test_what_is_not_there_or_no_recording_is_said(bench: Bench, tmp_path: Path) -> None:
    bench.apply()
    plan, home = bench.plan(), Path(home_of(bench))
    missing = bootpilot(home, "recording", "show", plan.boot_id)
    assert missing.returncode == 1
    assert "record = true" in missing.stderr
    (tmp_path / "wrong").write_bytes(b"no recording")
    wrong = bootpilot(home, "recording", "show", str(tmp_path / "wrong"))
    assert wrong.returncode == 1
    assert "expected a gzip file" in wrong.stderr
    assert put(bench, plan, make_recording()) == 200
    assert bootpilot(home, "recording", "export", plan.boot_id, "-o", str(tmp_path / "no" / "folder")).returncode == 1


def test_the_pages_of_a_boot_and_its_node_show_that_there_is_one(bench: Bench) -> None:
    bench.apply()
    plan = bench.plan()
    assert "Recording" not in bench.client.get(f"/boots/{plan.boot_id}").text
    assert put(bench, plan, make_recording(SayLine("<b>"), StepLine("find_<i>server", 3, "lost"), boot_id=plan.boot_id)) == 200
    page = bench.client.get(f"/boots/{plan.boot_id}").text
    assert "find_&lt;i&gt;server in 0.003 s: lost" in page
    assert '<span class="badge failed">step</span>' in page
    assert "also in it: 1 lines said" in page
    assert f"/boots/{plan.boot_id}#recording" in bench.client.get(f"/nodes/{plan.node_id}").text
    file = bench.client.get(f"/boots/{plan.boot_id}/recording")
    assert file.headers["Content-Disposition"] == f'attachment; filename="{plan.boot_id}.bootrec"'
    assert recording.read(file.data).header.boot_id == plan.boot_id


def test_a_page_shows_the_end_of_a_long_recording_and_says_of_a_broken_one_that_it_is(bench: Bench) -> None:
    bench.apply()
    plan = bench.plan()
    lines = [StepLine(f"step-{number}", 1) for number in range(MAX_ROWS + 10)]
    assert put(bench, plan, make_recording(*lines)) == 200
    page = bench.client.get(f"/boots/{plan.boot_id}").text
    assert "step-9 " not in page
    assert "step-10 " in page
    assert "10 rows before these" in page
    assert put(bench, plan, b"<script>") == 200
    page = bench.client.get(f"/boots/{plan.boot_id}").text
    assert "It cannot be read" in page
    assert "<script>" not in page


def test_a_recording_needs_the_token_of_its_boot(bench: Bench) -> None:
    bench.apply()
    plan, other = bench.plan(), bench.plan(make_report(evidence=serial("1000000000000002")))
    path = f"/v1/boots/{plan.boot_id}/recording"
    for token in ("", other.token, "x"):
        assert bench.client.put(path, data=make_recording(), headers=bearer(token)).status_code == 401
    assert bench.client.get(f"/boots/{plan.boot_id}/recording").status_code == 404


def test_a_line_of_a_time_line_is_one_line_of_the_recording() -> None:
    extra: Json = {"t": 7, "k": "later", "x": 1}
    raw = gzip.decompress(make_recording()).split(b"\n")
    raw.insert(1, json.dumps(extra).encode())
    assert recording.read(gzip.compress(b"\n".join(raw))).lines == recording.read(make_recording()).lines
    assert Timed(7, SayLine("x")).to_bytes() == b'{"t":7,"k":"say","text":"x"}\n'


@pytest.mark.parametrize(
    ("key", "features", "wanted"), [("true", ("record",), True), ("true", (), False), ("false", ("record",), False)]
)
def test_a_profile_asks_for_recordings_of_agents_that_can(
    bench: Bench, key: str, features: tuple[str, ...], wanted: bool
) -> None:
    bench.apply(profiles__ram_page=f"record = {key}\n{profile('')}")
    report = make_report()
    plan = bench.plan(replace(report, features=(*report.features, *features)))
    assert plan.record is wanted
    assert ("record" in json.loads(bench.ask(make_report(features=(*report.features, *features))).data)) is wanted
