"""The wire's types: what is written is read again the same, and nothing that comes in causes anything but a FieldError."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpilot_agent.events import Event, EventName, Source, events_from_json, events_to_json
from bootpilot_agent.evidence import EvidenceKind, grade_evidence
from bootpilot_agent.fields import FieldError, Fields, parse_json
from bootpilot_agent.hardware import read_inventory
from bootpilot_agent.plan import COMMAND_LINE_SIZE, LastAttempt, Lease, Plan, Report, check_command_line, problem_detail

ARCHES = sorted(COMMAND_LINE_SIZE)
SHA = "0123456789abcdef" * 4
UUID = "6f8f57f2-7a5a-4b6d-9c1f-0d4c53f1a001"
ARTIFACT = {"urls": ["/artifacts/sha256/" + SHA, "https://mirror.example/x"], "size": 10, "sha256": SHA}
PLAN: dict[str, Any] = {
    "version": 1,
    "node_id": UUID,
    "boot_id": UUID,
    "token": "abc.DEF-123",
    "nonce": SHA,
    "action": "boot",
    "writes_disk": False,
    "requires": ["boot", "dtb:file"],
    "valid_s": 600,
    "fetch_deadline_s": 1800,
    "payload_up_deadline_s": 900,
    "watchdog": "stop",
    "install_id": UUID,
    "boot": {
        "profile": "ram-page",
        "kernel": ARTIFACT,
        "initrds": [{**ARTIFACT, "unpacked_size": 40}],
        "dtb": {"policy": "file", "artifact": ARTIFACT},
        "command_line": "console=ttyAMA0",
        "files": [{"path": "/preseed.cfg", "url": "/v1/boots/x/files/1", "size": 3, "sha256": SHA, "mode": 384}],
    },
}


def a_report() -> Report:
    return Report(
        boot_id=UUID,
        nonce=SHA,
        arch="armhf",
        agent_version="0.1.0",
        build_id="0123456789abcdef",
        features=("boot", "wait"),
        evidence=(grade_evidence(EvidenceKind.DT_SERIAL, "02c000814a58bd80", "/serial-number"),),
        inventory=read_inventory(Path("/nowhere")),
        lease=Lease("eth0", "dhcp", "10.0.2.15/24", "10.0.2.2", ("10.0.2.3",), "0030"),
        clock_unix_s=1_700_000_000,
        last_attempt=LastAttempt(UUID, "fetch", "it failed", "mend it"),
        simulated=True,
    )


def test_a_report_is_read_as_it_was_written() -> None:
    report = a_report()
    assert Report.from_json(json.dumps(report.to_json()).encode()) == report


def test_a_plan_is_written_as_it_was_read() -> None:
    assert Plan.from_json(json.dumps(PLAN).encode(), "arm64").to_json() == PLAN


def test_fields_of_a_newer_peer_are_ignored() -> None:
    newer = {**PLAN, "colour": "green", "boot": {**PLAN["boot"], "kernel": {**ARTIFACT, "signature": "later"}}}
    assert Plan.from_json(json.dumps(newer).encode(), "arm64").to_json() == PLAN


def test_events_are_read_as_they_were_written() -> None:
    events = [Event(Source.AGENT, 0, EventName.FETCHING, 1234, {"bytes": 5})]
    assert events_from_json(json.dumps(events_to_json(events)).encode()) == events


@pytest.mark.parametrize("arch", ARCHES)
def test_a_command_line_may_be_as_long_as_the_kernel_takes_and_no_longer(arch: str) -> None:
    longest = "x" * (COMMAND_LINE_SIZE[arch] - 1)
    assert check_command_line(longest, arch) == longest
    with pytest.raises(FieldError, match="command_line"):
        check_command_line(longest + "x", arch)


@pytest.mark.parametrize("path", ["/bootpilot", "/bootpilot/boot.json", "/etc/../bootpilot/x", "/etc//x", "etc/x", "/"])
def test_a_file_may_not_stand_where_the_agent_writes_or_anywhere_unclear(path: str) -> None:
    plan = copy.deepcopy(PLAN)
    plan["boot"]["files"] = [{"path": path, "url": "/v1/f", "size": 1, "sha256": "0" * 64, "mode": 0o600}]
    with pytest.raises(FieldError, match=r"boot\.files\[0\]\.path"):
        Plan.from_json(json.dumps(plan).encode(), "arm64")


@pytest.mark.parametrize(
    ("path", "instead"),
    [
        ("/lib/firmware/brcm/x.bin", "/usr/lib/firmware/brcm/x.bin"),
        ("/bin/tool", "/usr/bin/tool"),
        ("/sbin", "/usr/sbin"),
        ("/lib64/x", "/usr/lib64/x"),
        ("/var/run/secret", "/run/secret"),
    ],
)
def test_a_file_that_would_put_a_folder_in_the_place_of_a_link_is_refused_with_the_right_path(path: str, instead: str) -> None:
    plan = copy.deepcopy(PLAN)
    plan["boot"]["files"] = [{"path": path, "url": "/v1/f", "size": 1, "sha256": "0" * 64, "mode": 0o600}]
    with pytest.raises(FieldError, match=rf"boot\.files\[0\]\.path: expected {instead} \("):
        Plan.from_json(json.dumps(plan).encode(), "arm64")
    plan["boot"]["files"][0]["path"] = instead
    assert Plan.from_json(json.dumps(plan).encode(), "arm64").boot is not None


@pytest.mark.parametrize("path", ["/libexec/x", "/binary", "/var/running", "/usr/lib/x"])
def test_only_the_linked_folders_themselves_are_refused(path: str) -> None:
    plan = copy.deepcopy(PLAN)
    plan["boot"]["files"] = [{"path": path, "url": "/v1/f", "size": 1, "sha256": "0" * 64, "mode": 0o600}]
    assert Plan.from_json(json.dumps(plan).encode(), "arm64").boot is not None


READERS: list[tuple[Callable[[bytes], object], dict[str, Any]]] = [
    (lambda raw: Plan.from_json(raw, "arm64"), PLAN),
    (Report.from_json, a_report().to_json()),
    (events_from_json, events_to_json([Event(Source.AGENT, 0, EventName.STARTED, 1)])),
]
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["\ud800", "\0", "a" * 5000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(("read", "good"), READERS)
@given(noise=st.binary(max_size=400))
def test_noise_is_refused_by_name(read: Callable[[bytes], object], good: dict[str, Any], noise: bytes) -> None:
    with pytest.raises(FieldError):
        read(noise)


@pytest.mark.parametrize(("read", "good"), READERS)
@given(data=st.data())
def test_one_wrong_value_anywhere_is_taken_or_refused_by_name(
    read: Callable[[bytes], object], good: dict[str, Any], data: st.DataObject
) -> None:
    changed = copy.deepcopy(good)
    place: Any = changed
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else list(range(len(place)))))
        if isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
            place = place[key]
            continue
        break
    if isinstance(place, dict) and data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = data.draw(JSON_VALUES)
    assert complaint(lambda: read(json.dumps(changed).encode())).isprintable()


def complaint(read: Callable[[], object]) -> str:
    """The FieldError's text, "" if all was well; anything else goes through."""
    try:
        read()
    except FieldError as error:
        return f"{error.field}: {error.expected}: {str(error)[:1000]}"
    return ""


@given(st.binary(max_size=200))
def test_a_problem_document_is_read_or_it_is_none(noise: bytes) -> None:
    assert problem_detail(noise) is None or isinstance(problem_detail(noise), str)


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbf{}",
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b"[" * 20 + b"]" * 20,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'"' + b"a" * 70000 + b'"',
        b"1" * 60000,
    ],
)
def test_json_that_is_a_trap_is_refused(raw: bytes) -> None:
    with pytest.raises(FieldError):
        parse_json(raw)


def test_hostile_text_is_shown_harmlessly_in_an_error() -> None:
    with pytest.raises(FieldError) as raised:
        Fields({"serial": ["<script>\x1b[2J\u202e" * 100]}).text("serial")
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 200
