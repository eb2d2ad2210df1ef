"""What a boot tells on its way: events, logs, a recording, done and failed."""

import json
import uuid

import pytest

from bootpilot_server.asking.boot_channel import CUT_MARKER, MAX_LOG_BYTES, MAX_RECORDING_BYTES
from bootpilot_server.deciding.boot_state import StateKind, state_of
from bootpilot_server.deciding.records import BootRecord
from bootpilot_server.store import boot_records, node_records
from tests.fakes.bench import Bench, bearer
from tests.fakes.reports import make_report


def boot_of(bench: Bench, boot_id: str) -> BootRecord:
    with bench.server.database.reading() as connection:
        boot = boot_records.find_boot(connection, boot_id)
    assert boot is not None
    return boot


def failures_of(bench: Bench, node_id: str) -> int:
    with bench.server.database.reading() as connection:
        node = node_records.find_node(connection, node_id)
    assert node is not None
    return node.failures


def log_of(bench: Bench, boot_id: str) -> bytes:
    with bench.server.database.reading() as connection:
        return boot_records.read_log(connection, boot_id, "agent")


def test_the_same_event_twice_counts_once(bench: Bench) -> None:
    bench.apply()
    plan = bench.plan()
    assert bench.send_event(plan, "planned").get_json() == {"version": 1, "received": 1, "stored": 1}
    assert bench.send_event(plan, "planned").get_json() == {"version": 1, "received": 1, "stored": 0}


def test_events_out_of_order_lead_to_the_same_state(bench: Bench) -> None:
    bench.apply()
    plan = bench.plan()
    bench.send_event(plan, "handover", seq=9)
    bench.send_event(plan, "fetching", seq=3, bytes=10)
    assert state_of(boot_of(bench, plan.boot_id), 0).kind is StateKind.HANDOVER
    bench.send_event(plan, "payload-up", seq=1, source="payload")
    bench.send_event(plan, "loaded", seq=8)
    assert state_of(boot_of(bench, plan.boot_id), 0).kind is StateKind.PAYLOAD_UP


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"source": "router", "seq": 1, "name": "planned", "at_ms": 1}, "events[0].source"),
        ({"source": "agent", "seq": -1, "name": "planned", "at_ms": 1}, "events[0].seq"),
        ({"source": "agent", "seq": 1, "name": "exploded", "at_ms": 1}, "events[0].name"),
        ("planned", "events[0]"),
    ],
)
def test_an_event_outside_the_closed_set_is_refused_by_name(bench: Bench, event: object, field: str) -> None:
    plan = bench.plan()
    response = bench.send(plan, "events", {"version": 1, "events": [event]})
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["field"] == field


@pytest.mark.parametrize("path", ["events", "log?offset=0", "done", "failed"])
def test_nothing_is_taken_without_the_token_of_just_this_boot(bench: Bench, path: str) -> None:
    plan = bench.plan()
    for token in ("", "0" * 64, "é", bench.plan(make_report(simulated=False, model="other", evidence=())).token):
        refused = bench.send(plan, path, {"version": 1, "events": [], "why": "x", "install_id": str(uuid.uuid4())}, token)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert bench.send(plan, path, {"version": 1, "events": [], "why": "x", "install_id": str(uuid.uuid4())}).status_code == 200


def test_an_unknown_boot_is_refused_like_a_wrong_token(bench: Bench) -> None:
    response = bench.client.post(f"/v1/boots/{uuid.uuid4()}/events", data=b"{}", headers=bearer("0" * 64))
    assert response.status_code == 401


def test_a_log_grows_by_offset_and_a_repeated_piece_changes_nothing(bench: Bench) -> None:
    plan = bench.plan()
    for _ in range(2):
        assert bench.send(plan, "log?source=agent&offset=0", b"hello ").get_json() == {"version": 1, "offset": 6, "cut": False}
    assert bench.send(plan, "log?source=agent&offset=3", b"lo world").get_json() == {"version": 1, "offset": 11, "cut": False}
    assert log_of(bench, plan.boot_id) == b"hello world"


def test_a_gap_in_a_log_is_refused_with_the_place_where_it_goes_on(bench: Bench) -> None:
    plan = bench.plan()
    bench.send(plan, "log?offset=0", b"hello")
    response = bench.send(plan, "log?offset=9", b"world")
    assert response.status_code == 409
    assert response.json is not None
    assert response.json["offset"] == 5


def test_a_log_is_cut_at_4_mib_with_a_marker_and_the_rest_is_taken_without_complaint(bench: Bench) -> None:
    plan = bench.plan()
    piece = b"x" * (3 << 20)
    assert bench.send(plan, "log?offset=0", piece).status_code == 200
    cut = {"version": 1, "offset": 6 << 20, "cut": True}
    for _ in range(2):
        assert bench.send(plan, f"log?offset={3 << 20}", piece).get_json() == cut
    assert bench.send(plan, f"log?offset={6 << 20}", piece).status_code == 200
    assert log_of(bench, plan.boot_id) == b"x" * MAX_LOG_BYTES + CUT_MARKER


def test_a_log_that_fills_its_room_exactly_is_not_called_cut(bench: Bench) -> None:
    plan = bench.plan()
    assert bench.send(plan, "log?offset=0", b"x" * MAX_LOG_BYTES).get_json()["cut"] is False
    assert bench.send(plan, f"log?offset={MAX_LOG_BYTES}", b"y").get_json()["cut"] is True
    assert log_of(bench, plan.boot_id) == b"x" * MAX_LOG_BYTES + CUT_MARKER


@pytest.mark.parametrize("query", ["", "?offset=-1", "?offset=1e3", "?offset=0&source=router", "?offset=٣"])
def test_a_log_without_a_proper_place_is_refused(bench: Bench, query: str) -> None:
    assert bench.send(bench.plan(), f"log{query}", b"x").status_code == 400


def test_a_recording_is_replaced_and_bounded(bench: Bench) -> None:
    plan = bench.plan()
    headers = {"Authorization": f"Bearer {plan.token}"}
    path = f"/v1/boots/{plan.boot_id}/recording"
    assert bench.client.put(path, data=b"x" * (MAX_RECORDING_BYTES + 1), headers=headers).status_code == 413
    assert bench.client.put(path, data=b"first", headers=headers).status_code == 200
    assert bench.client.put(path, data=b"second", headers=headers).status_code == 200
    assert bench.client.get(f"/boots/{plan.boot_id}/recording").data == b"second"


def test_a_done_of_an_install_that_this_boot_was_not_to_make_changes_nothing(bench: Bench) -> None:
    bench.apply()
    plan = bench.plan()
    other = str(uuid.uuid4())
    assert bench.send(plan, "done", {"install_id": other}).status_code == 200
    assert boot_of(bench, plan.boot_id).install_id is None
    with bench.server.database.reading() as connection:
        texts = [entry.text for entry in node_records.list_history(connection, plan.node_id)]
    assert texts[0] == f"a word that install {other} is done, which this boot was not to make: it changes nothing"


def test_failed_keeps_the_first_reason(bench: Bench) -> None:
    bench.apply()
    plan = bench.plan()
    for why in ("no disk", "no disk", "later"):
        assert bench.send(plan, "failed", {"why": why}).status_code == 200
    assert state_of(boot_of(bench, plan.boot_id), 0).text == "no disk"


def test_failures_in_a_row_are_counted_until_a_payload_is_up(bench: Bench) -> None:
    bench.apply()
    for count in range(3):
        plan = bench.plan()
        assert failures_of(bench, plan.node_id) == count
        bench.send_event(plan, "failed", stage="verify", message="sha256 differs")
    plan = bench.plan()
    assert failures_of(bench, plan.node_id) == 3
    bench.send_event(plan, "payload-up", seq=1, source="payload")
    assert failures_of(bench, plan.node_id) == 0


def test_a_payload_that_brings_the_board_back_to_the_server_counts_as_failed(bench: Bench) -> None:
    bench.apply()
    bench.send_event(bench.plan(), "handover")
    assert failures_of(bench, bench.plan().node_id) == 1


def test_a_power_cut_before_the_jump_does_not_count_as_a_failure(bench: Bench) -> None:
    bench.apply()
    bench.send_event(bench.plan(), "fetching", bytes=5)
    assert failures_of(bench, bench.plan().node_id) == 0


def test_an_event_that_grows_when_it_is_stored_does_not_hide_the_list(bench: Bench) -> None:
    bench.apply()
    plan = bench.plan()
    data = {"bytes": 5, "note": "\u4e2d" * 20_000}
    event = {"source": "agent", "seq": 1, "name": "fetching", "at_ms": 1, "data": data}
    body = json.dumps({"version": 1, "events": [event]}, ensure_ascii=False).encode()
    assert len(body) < 64 << 10 < len(json.dumps(data))
    assert bench.send(plan, "events", body).status_code == 200
    for path in ("/", f"/nodes/{plan.node_id}", f"/boots/{plan.boot_id}"):
        assert bench.client.get(path).status_code == 200


def test_a_failure_told_with_half_a_character_is_still_heard(bench: Bench) -> None:
    plan = bench.plan()
    assert bench.send_event(plan, "failed", stage="fetch", message="\ud800 broke").status_code == 200
    assert "fetch: ? broke" in bench.client.get("/").text
