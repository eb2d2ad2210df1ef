"""POST /v1/boot over the application: the same question, a further one, a wrong one, and who is recognised."""

import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select

from bootpilot_agent.evidence import EvidenceKind
from bootpilot_agent.fields import MAX_BODY_BYTES
from bootpilot_agent.plan import Action, LastAttempt, Plan, Report
from bootpilot_server.asking.answer import Question, answer
from bootpilot_server.asking.tokens import make_token
from bootpilot_server.commands.explain import explain, find_by_text
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.errors import ProblemError
from bootpilot_server.store import boot_records, evidence_records, node_records, schema
from tests.fakes.bench import Bench, bearer
from tests.fakes.reports import SERIAL, again, body_of, make_report, piece, serial

PROBLEM = "application/problem+json"
PER_NODE = (
    schema.nodes,
    schema.evidence,
    schema.boots,
    schema.questions,
    schema.events,
    schema.log_chunks,
    schema.recordings,
    schema.history,
)


def nodes(bench: Bench) -> list[NodeRecord]:
    with bench.server.database.reading() as connection:
        return node_records.list_nodes(connection, limit=100)


def asked_at(bench: Bench, report: Report, now: float, token: str = "") -> Plan:
    return Plan.from_json(answer(bench.server, Question(body_of(report), token, "10.0.0.7", now)), report.arch)


def test_the_greeting_tells_a_boot_server_from_a_captive_portal(bench: Bench) -> None:
    assert bench.client.get("/v1/").get_json() == {"version": 1, "service": "bootpilot"}


def test_a_board_gets_a_plan_that_answers_its_nonce(bench: Bench) -> None:
    bench.apply()
    report = make_report()
    plan = bench.plan(report)
    assert (plan.action, plan.nonce, plan.boot_id) == (Action.BOOT, report.nonce, report.boot_id)


def test_the_same_question_again_gets_the_same_bytes_and_leaves_one_node(bench: Bench) -> None:
    bench.apply()
    report = make_report()
    assert bench.ask(report).data == bench.ask(report).data
    assert len(nodes(bench)) == 1


def test_a_lost_answer_is_given_again_although_the_rules_have_changed_since(bench: Bench) -> None:
    report = make_report()
    first = bench.ask(report)
    bench.apply()
    assert bench.ask(report).data == first.data
    assert bench.plan(again(report), bench.plan(report).token).action is Action.BOOT


def test_the_same_nonce_with_another_report_is_refused(bench: Bench) -> None:
    report = make_report()
    bench.ask(report)
    response = bench.ask(replace(report, agent_version="0.2.0"))
    assert (response.status_code, response.mimetype) == (409, PROBLEM)


def test_a_plan_that_is_no_longer_valid_is_not_given_again(bench: Bench) -> None:
    bench.apply()
    report = make_report()
    plan = asked_at(bench, report, 1000.0)
    assert asked_at(bench, report, 1000.0 + plan.valid_s) == plan
    with pytest.raises(ProblemError, match="409: the plan for this nonce was valid for 300 s"):
        asked_at(bench, report, 1001.0 + plan.valid_s)


def test_a_further_question_must_carry_the_token(bench: Bench) -> None:
    report = make_report()
    token = bench.plan(report).token
    assert bench.ask(again(report)).status_code == 409
    assert bench.ask(again(report), "0" * 64).status_code == 409
    assert bench.ask(again(report), token).status_code == 200


def test_a_token_ends_when_a_later_boot_is_given_a_plan(bench: Bench) -> None:
    first, second = make_report(), make_report()
    token = bench.plan(first).token
    bench.plan(second)
    assert bench.ask(again(first), token).status_code == 409


def test_a_token_ends_a_day_after_its_last_plan(bench: Bench) -> None:
    report = make_report()
    token = asked_at(bench, report, 1000.0).token
    assert asked_at(bench, again(report), 1000.0 + 86400, token)
    with pytest.raises(ProblemError, match="has ended"):
        asked_at(bench, again(report), 1000.0 + 2 * 86400 + 1, token)


def test_tokens_differ_between_nodes_boots_and_nonces_and_keys() -> None:
    one_thing_changed = ["k n b 1", "l n b 1", "k m b 1", "k n c 1", "k n b 2"]
    keys = [text.split() for text in one_thing_changed]
    assert len({make_token(key.encode(), node, boot, nonce) for key, node, boot, nonce in keys}) == 5


def test_neither_tokens_nor_the_key_are_in_the_database(bench: Bench) -> None:
    bench.apply()
    token = bench.plan().token
    bench.server.database.close()
    stored = b"".join(path.read_bytes() for path in bench.server.config.home.glob("state.sqlite*"))
    assert b"ram-page" in stored
    assert token.encode() not in stored
    assert bench.server.secret_key not in stored


def test_the_board_is_recognised_at_its_next_boot(bench: Bench) -> None:
    assert bench.plan().node_id == bench.plan().node_id
    assert bench.plan(make_report(evidence=serial("10000000abcdef02"))).node_id != bench.plan().node_id


def test_a_boot_id_does_not_change_its_node(bench: Bench) -> None:
    report = make_report()
    token = bench.plan(report).token
    assert bench.ask(again(report, evidence=serial("10000000abcdef02")), token).status_code == 409


def test_evidence_that_contradicts_itself_waits_for_a_person_in_one_record(bench: Bench) -> None:
    bench.apply()
    for number in "12":
        both = (piece(EvidenceKind.DT_SERIAL, f"1000000{number}"), piece(EvidenceKind.SOC_SERIAL, f"abcdef0{number}"))
        bench.plan(make_report(evidence=both))
    crossed = (piece(EvidenceKind.DT_SERIAL, "10000001"), piece(EvidenceKind.SOC_SERIAL, "abcdef02"))
    plans = [bench.plan(make_report(evidence=crossed)) for _ in range(2)]
    assert [plan.wait.reason for plan in plans if plan.wait] == ["conflict", "conflict"]
    assert len({plan.node_id for plan in plans}) == 1
    assert len(nodes(bench)) == 3


def test_a_board_that_shows_nothing_of_its_own_waits(bench: Bench) -> None:
    bench.apply()
    plan = bench.plan(make_report(evidence=(piece(EvidenceKind.RANDOM_MAC, "02:11:22:33:44:55"),)))
    assert plan.wait is not None
    assert "nothing that names it" in plan.wait.text


def test_simulated_boards_are_refused_unless_the_operator_allows_them(bench: Bench, open_bench: Bench) -> None:
    report = make_report(simulated=True)
    assert (bench.ask(report).status_code, bench.ask(report).mimetype) == (403, PROBLEM)
    assert nodes(bench) == []
    assert open_bench.ask(report).status_code == 200


def test_a_simulated_board_is_never_taken_for_a_real_one(open_bench: Bench) -> None:
    real, simulated = open_bench.plan(make_report()), open_bench.plan(make_report(simulated=True))
    assert real.node_id != simulated.node_id
    assert open_bench.plan(make_report(simulated=True)).node_id == simulated.node_id


def test_an_approved_board_gets_what_the_rule_gives(bench: Bench) -> None:
    bench.apply(rules__lab='priority = 1\nprofile = "ram-page"\n')
    waiting = bench.plan()
    assert waiting.wait is not None
    assert waiting.wait.reason == "not-approved"
    with bench.server.database.writing() as connection:
        node_records.approve_node(connection, waiting.node_id, 1.0)
    assert bench.plan().action is Action.BOOT


def test_above_the_limit_new_boards_are_told_to_come_back_and_known_ones_are_served(bench: Bench) -> None:
    bench.server = replace(bench.server, config=replace(bench.server.config, max_waiting_nodes=1))
    bench.client.application.extensions["bootpilot"] = bench.server
    assert bench.ask(make_report()).status_code == 200
    refused = bench.ask(make_report(evidence=serial("10000000abcdef02")))
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "300")
    assert bench.ask(make_report()).status_code == 200


def test_boards_that_wait_and_boards_that_a_rule_lets_in_do_not_shut_each_other_out(bench: Bench) -> None:
    config = replace(bench.server.config, max_waiting_nodes=1, max_admitted_nodes=2)
    bench.server = replace(bench.server, config=config)
    bench.client.application.extensions["bootpilot"] = bench.server
    bench.apply()

    def status(number: int, arch: str) -> int:
        return bench.ask(make_report(arch=arch, evidence=serial(f"10000000abcdef{number:02}"))).status_code

    assert [status(number, "armhf") for number in (1, 2)] == [200, 429]
    assert [status(number, "arm64") for number in (3, 4, 5)] == [200, 200, 429]
    assert [status(number, "armhf") for number in (1, 6)] == [200, 429]
    assert [status(number, "arm64") for number in (3, 4)] == [200, 200]
    with bench.server.database.writing() as connection:
        for node in node_records.list_nodes(connection, limit=10):
            node_records.approve_node(connection, node.id, 1.0)
    assert [status(6, "armhf"), status(5, "arm64")] == [200, 200]


def test_a_forgotten_board_comes_back_as_a_new_one(bench: Bench) -> None:
    bench.apply()
    report = make_report()
    plan = bench.plan(report)
    bench.send_event(plan, "handover")
    bench.send(plan, "log?offset=0", b"booting")
    with bench.server.database.writing() as connection:
        node_records.forget_node(connection, plan.node_id)
    with bench.server.database.reading() as connection:
        rows = {table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in PER_NODE}
    assert set(rows.values()) == {0}, rows
    assert bench.send_event(plan, "payload-up", source="payload").status_code == 401
    assert bench.plan(again(report), plan.token).node_id != plan.node_id


def test_a_failure_that_no_server_heard_of_is_told_with_the_next_report(bench: Bench) -> None:
    first = bench.plan()
    last = LastAttempt(first.boot_id, "fetch", "kernel: connection reset", "is the cable in?")
    bench.plan(make_report(last_attempt=last))
    with bench.server.database.reading() as connection:
        texts = [entry.text for entry in node_records.list_history(connection, first.node_id)]
    assert any("fetch: kernel: connection reset (hint: is the cable in?)" in text for text in texts)
    assert nodes(bench)[0].failures == 1


def strong(value: str) -> list[dict[str, str]]:
    return [{"kind": "dt-serial", "value": value, "source": "", "grade": "strong"}]


def changed(**fields: Any) -> bytes:
    return json.dumps({**make_report().to_json(), **fields}).encode()


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, "body"),
        (b"<html>not JSON</html>", 400, "body"),
        (b'{"version": 1, "boot_id": "\xff"}', 400, "body"),
        (b"[" * 5000, 400, "body"),
        (b"[]", 400, "body"),
        (changed(version=2), 400, "version"),
        (changed(boot_id="../../etc/passwd"), 400, "boot_id"),
        (changed(nonce="short"), 400, "nonce"),
        (changed(arch="mips"), 400, "arch"),
        (changed(evidence=strong("A" * 300)), 400, "evidence[0].value"),
        (changed(evidence=strong("a\0b")), 400, "evidence[0].value"),
        (changed(board={"model": "x"}), 400, "board.compatible"),
        (changed(clock={"unix_s": float("nan")}), 400, "body"),
        (changed(build="A" * 1_000_000), 413, "body"),
        (b"A" * (MAX_BODY_BYTES + 1), 413, "body"),
    ],
)  # fmt: skip
def test_a_malformed_report_is_refused_by_the_name_of_the_field(bench: Bench, body: bytes, status: int, field: str) -> None:
    response = bench.client.post("/v1/boot", data=body)
    assert (response.status_code, response.mimetype) == (status, PROBLEM)
    document = json.loads(response.data)
    assert document["field"] == field
    assert document["status"] == status
    assert nodes(bench) == []


def test_a_refused_report_is_seen_on_the_status_page(bench: Bench) -> None:
    for _ in range(3):
        bench.client.post("/v1/boot", data=changed(arch="<script>alert(1)</script>"))
    page = bench.client.get("/").text
    assert "Refused reports" in page
    assert "&lt;script&gt;" in page
    assert "<script>" not in page


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("GET", "/v1/boot", 405), ("DELETE", "/", 405)]
)
def test_every_error_is_a_problem_document(bench: Bench, method: str, path: str, status: int) -> None:
    response = bench.client.open(path, method=method)
    assert (response.status_code, response.mimetype) == (status, PROBLEM)


def test_a_further_question_of_a_waiting_board_does_not_grow_the_database(bench: Bench) -> None:
    report = make_report()
    token = bench.plan(report).token
    for _ in range(40):
        report = again(report)
        bench.plan(report, token)
    with bench.server.database.reading() as connection:
        questions = connection.exec_driver_sql("SELECT count(*) FROM questions").scalar_one()
        history = connection.exec_driver_sql("SELECT count(*) FROM history").scalar_one()
    assert questions <= 20
    assert history <= 3
    assert bench.client.get("/v1/", headers=bearer(token)).status_code == 200


def test_a_report_as_large_as_the_wire_takes_is_explained_and_shown(bench: Bench) -> None:
    bench.apply()
    report = make_report()
    disk = report.inventory.disks[0]
    disks = tuple(replace(disk, name=f"sd{number}", path="/\u4e2d" * 150) for number in range(60))
    value = replace(report, inventory=replace(report.inventory, disks=disks)).to_json()
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    assert len(body) <= 64 << 10 < len(json.dumps(value))
    answer = bench.client.post("/v1/boot", data=body)
    assert answer.status_code == 200
    node = find_by_text(bench.server, answer.json["node_id"])  # type: ignore[index]
    assert explain(bench.server, node).decision.profile == "ram-page"
    assert bench.client.get(f"/nodes/{node.id}").status_code == 200


def test_a_board_with_ever_new_addresses_does_not_grow_the_database(bench: Bench) -> None:
    bench.apply()
    for boot in range(8):
        macs = tuple(piece(EvidenceKind.MAC, f"00:48:54:20:{boot:02x}:{number:02x}") for number in range(100))
        plan = bench.plan(make_report(evidence=serial() + macs))
    with bench.server.database.reading() as connection:
        kept = evidence_records.list_evidence(connection, plan.node_id)
    assert len(kept) == evidence_records.MAX_EVIDENCE
    assert kept[0].value == SERIAL
    assert {found.value for found in macs} <= {found.value for found in kept}


def test_many_rules_that_lost_are_kept_in_bounds_and_explained_in_full(bench: Bench) -> None:
    serials = ", ".join(f'"{number:016x}"' for number in range(500))
    lost = {
        f"rules__rack_{number}": f'priority = {100 + number}\nprofile = "ram-page"\n[match]\ndt-serial = [{serials}]\n'
        for number in range(200)
    }
    bench.apply(**lost)
    plan = bench.plan()
    with bench.server.database.reading() as connection:
        boot = boot_records.find_boot(connection, plan.boot_id)
    assert boot is not None
    assert len(boot.why) < 64 << 10
    assert boot.read_why()[0] == "profile ram-page by rule lab (priority 10)"
    assert "`bootpilot explain` lists all" in boot.read_why()[-1]
    assert len(explain(bench.server, find_by_text(bench.server, plan.node_id)).decision.why) == 201
